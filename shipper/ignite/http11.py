"""A `Transport` over HTTP/1.1, by aiohttp: a connection for each request under way, kept for the next one."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from shipper.config.endpoint import join_host_port
from shipper.ignite import proxy
from shipper.ignite.dial import made_socket
from shipper.ignite.transport import (
    NO_HEADERS,
    ConnectFailed,
    ConnectionLost,
    NoHttp,
    Request,
    TransportError,
)

PROTOCOL: Final = "http/1.1"  # its name in TLS (RFC 7301)
CONNECT_TIMEOUT_S: Final = 10.0
# Bytes of each stream that may wait for a reader before its sender is held back, and what one read of the socket (256
# KiB at most) adds; there may be thousands of streams that nobody reads for a while.
_READ_AHEAD: Final = 32 * 1024
_HEADERS_LIMIT: Final = 64 * 1024
_AGENT: Final = "user-agent"


@dataclass(slots=True)
class Http11Transport:
    """Requests to one server. `base_url` says where it is, `authority` what it is called there."""

    base_url: str
    authority: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str | None = None
    limit: int | None = None  # connections are made as they are needed
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    _session: aiohttp.ClientSession | None = None
    _open: set[Http11Response] = field(default_factory=set)
    _closed: bool = False

    async def send(self, request: Request, /) -> Http11Response:
        if self._closed:
            raise ConnectionLost("the connections are closed")
        if self._session is None:
            self._session = self._connected()
        headers = {"host": self.authority, **dict(request.headers)}
        through, told = self._proxy()
        sending = self._session.request(
            request.method,
            URL(self.base_url + request.path, encoded=True),
            headers=headers,
            data=request.body or None,
            server_hostname=self.server_name if self.tls is not None else None,
            proxy=through,
            proxy_headers=told,
            allow_redirects=False,  # the token is for this host alone
            skip_auto_headers=[_AGENT] if _AGENT in headers else (),
        )
        response = Http11Response(
            asyncio.create_task(_made(sending), name=f"request to {self.authority}"), self._open.discard
        )
        self._open.add(response)
        return response

    async def aclose(self) -> None:
        self._closed = True
        for response in list(self._open):
            response.give_up()
        if self._session is not None:
            await self._session.close()

    def _connected(self) -> aiohttp.ClientSession:
        """Makes connections."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self.tls if self.tls is not None else False, limit=0, socket_factory=made_socket
            ),
            # How long an answer may take is for who asks; a stream is silent for hours.
            timeout=aiohttp.ClientTimeout(total=None, connect=self.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_AHEAD,
            max_line_size=_HEADERS_LIMIT,
            max_field_size=_HEADERS_LIMIT,
            trust_env=False,  # it knows other rules than `proxy`, and would send what ~/.netrc holds
            auto_decompress=False,
            raise_for_status=False,
        )

    def _proxy(self) -> tuple[URL | None, Mapping[str, str] | None]:
        """Through which proxy, and what it is to be told. Raises ConnectFailed where the environment names one that
        cannot be used.
        """
        parts = urlsplit(self.base_url)
        if self.tls is None or parts.hostname is None:
            return None, None
        through = proxy.for_host(parts.hostname, parts.port or 443, os.environ)
        if through is None:
            return None, None
        told = {"proxy-authorization": through.authorization} if through.credentials else None
        return URL(f"http://{join_host_port(through.host, through.port)}"), told


async def _made(sending: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse | TransportError:
    """The response, or why there is none: an error that nobody waits for any more must not be reported as one."""
    try:
        return await sending
    except (
        aiohttp.ClientError,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # RuntimeError: closed meanwhile
        return _mapped(error)


@dataclass(slots=True, eq=False)
class Http11Response:
    """An answer as it comes in. `_forget` is called when nobody wants more of it."""

    _coming: asyncio.Task[aiohttp.ClientResponse | TransportError] | None
    _forget: Callable[[Http11Response], None]
    trailers: Mapping[str, str] = field(
        default_factory=lambda: NO_HEADERS
    )  # HTTP/1.1 has them; nobody sends them
    _came: aiohttp.ClientResponse | None = None

    @property
    def status(self) -> int:
        return 0 if self._came is None else self._came.status

    @property
    def headers(self) -> Mapping[str, str]:
        return NO_HEADERS if self._came is None else self._came.headers

    async def begun(self) -> None:
        if self._coming is None:
            return
        await asyncio.wait({self._coming})
        if self._coming.cancelled():
            raise ConnectionLost("the request was given up")
        came = self._coming.result()
        if isinstance(came, TransportError):
            raise came.again()
        self._came, self._coming = came, None

    def body(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Http11Response:
        return self

    async def __anext__(self) -> bytes:
        """No generator: one that is cancelled ends."""
        assert self._came is not None, "begun comes first"
        content = self._came.content
        try:
            data = await content.readany()
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            # ValueError: a chunk that is damaged; RuntimeError: the connection was closed by us. What had come before
            # is still there, and may be the last that a replica said; the next read fails again.
            data = content._read_nowait(-1)
            if not data:
                raise _mapped(error) from (error.__cause__ or error)
        if not data:
            raise StopAsyncIteration
        return data

    def give_up(self) -> None:
        """The connection is about to be closed. aiohttp leaves a reader waiting for ever then."""
        if self._came is not None:
            self._came.content.set_exception(aiohttp.ClientConnectionError("the connections are closed"))

    def close(self) -> None:
        self._forget(self)
        if self._came is not None:
            self._came.close()
        elif self._coming is not None and not self._coming.cancel() and not self._coming.cancelled():
            came = self._coming.result()
            if not isinstance(came, TransportError):
                came.close()


def _mapped(error: BaseException) -> TransportError:
    mapped = _kind(error)
    mapped.__cause__ = error.__cause__ or error
    return mapped


def _kind(error: BaseException) -> TransportError:
    reason = str(error) or type(error).__name__
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return ConnectFailed(str(error.certificate_error) or reason)
        case aiohttp.ClientConnectorError():
            return ConnectFailed(str(error.os_error) or reason)
        case aiohttp.ClientHttpProxyError():
            return ConnectFailed(f"the proxy refused to connect: {error.status} {error.message}")
        case aiohttp.ServerTimeoutError():
            return ConnectFailed("no connection in time")
        case aiohttp.ClientResponseError():
            return NoHttp(f"what came is not HTTP: {_first_line(error.message)}")
        case aiohttp.InvalidURL():
            return ConnectFailed(f"the address cannot be used: {reason}")
    return ConnectionLost(reason)


def _first_line(message: str) -> str:
    """Without the bytes that the parser shows below it."""
    return next((line.strip(" :") for line in message.splitlines() if line.strip()), "")
