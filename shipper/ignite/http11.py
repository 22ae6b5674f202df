"""A `Transport` over HTTP/1.1, by aiohttp: a connection for each request under way, kept for the next one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from shipper.ignite.transport import (
    NO_HEADERS,
    ConnectFailed,
    ConnectionLost,
    NotUnderstood,
    Request,
    TransportError,
)

PROTOCOL: Final = "http/1.1"  # its name in TLS (RFC 7301)
CONNECT_TIMEOUT_S: Final = 10.0
_READ_AHEAD: Final = (
    256 * 1024
)  # bytes that may wait for a reader, for each stream; twice that stops the sender
_HEADERS_LIMIT: Final = 64 * 1024
_AGENT: Final = "user-agent"


@dataclass(slots=True)
class Http11Transport:
    """Requests to one server. `host` and `port` are where it is, `authority` what it is called there."""

    base_url: str
    authority: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str | None = None
    limit: int | None = None  # connections are made as they are needed
    _session: aiohttp.ClientSession | None = None
    _closed: bool = False

    async def send(self, request: Request, /) -> Http11Response:
        if self._closed:
            raise ConnectionLost("the connections are closed")
        if self._session is None:
            self._session = _session(self.tls)
        url = URL(self.base_url + request.path, encoded=True)
        headers = {"host": self.authority, **dict(request.headers)}
        sending = self._session.request(
            request.method,
            url,
            headers=headers,
            data=request.body or None,
            server_hostname=self.server_name if self.tls is not None else None,
            allow_redirects=False,  # the token is for this host alone
            skip_auto_headers=[_AGENT] if _AGENT in headers else (),
        )
        return Http11Response(asyncio.ensure_future(sending))

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()


@dataclass(slots=True)
class Http11Response:
    """An answer as it comes in."""

    _coming: asyncio.Future[aiohttp.ClientResponse]
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
        if self._came is not None:
            return
        await asyncio.wait({self._coming})
        if self._coming.cancelled():
            raise ConnectionLost("the request was given up")
        error = self._coming.exception()
        if error is not None:
            raise _mapped(error) from (error.__cause__ or error)
        self._came = self._coming.result()

    async def body(self) -> AsyncIterator[bytes]:
        assert self._came is not None, "begun comes first"
        content = self._came.content
        try:
            while data := await content.readany():
                yield data
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a chunk that is damaged
            raise _mapped(error) from error

    def close(self) -> None:
        if self._came is not None:
            self._came.close()
        elif not self._coming.cancel() and not self._coming.cancelled() and self._coming.exception() is None:
            self._coming.result().close()


def _session(tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls if tls is not None else False, limit=0),
        # How long an answer may take is for who asks; a stream is silent for hours.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_AHEAD,
        max_line_size=_HEADERS_LIMIT,
        max_field_size=_HEADERS_LIMIT,
        trust_env=tls is not None,  # HTTPS_PROXY; never for plaintext, as with gRPC
        raise_for_status=False,
    )


def _mapped(error: BaseException) -> TransportError:
    reason = str(error) or type(error).__name__
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ClientProxyConnectionError():
            return ConnectFailed(str(error.os_error) or reason)
        case aiohttp.ClientHttpProxyError():
            return ConnectFailed(f"the proxy answered {error.status} {error.message}")
        case aiohttp.ServerTimeoutError():
            return ConnectFailed(f"no connection within {CONNECT_TIMEOUT_S:g} s")
        case aiohttp.ClientResponseError():
            return NotUnderstood(f"what came is not HTTP: {error.message}")
        case aiohttp.InvalidURL():
            return ConnectFailed(f"the address cannot be used: {reason}")
    return ConnectionLost(reason)
