"""One HTTP request to Datadog: its headers, its deadline, and what the answer or its absence means."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from shipper import __version__
from shipper.model import Codec
from shipper.sinks.answers import answer_of, failure_of, quoted
from shipper.sinks.datadog.body import Body, Destination, compressed
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.port import Answer, Parked, Retry

USER_AGENT: Final = f"shipper/{__version__}"
CONNECT_S: Final = 10.0

_ENCODINGS: Final[Mapping[Codec, str | None]] = {Codec.GZIP: "gzip", Codec.ZSTD: "zstd", Codec.NONE: None}
_MOST_ANSWER: Final = 4096
_WORTH_A_THREAD: Final = 128 * 1024  # bytes: some milliseconds of the event loop's time


class Intake:
    """Sends bodies and says what came of it. All on one event loop.

    The key goes to the configured host alone: redirects are not followed. Proxies are those of the environment.
    """

    def __init__(self, options: DatadogOptions) -> None:
        self._options: Final = options
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = True

    async def open(self) -> None:
        """Read the authorities to trust, if there are any of its own. Raises OSError where that fails."""
        if self._options.ca_file is not None:
            file = str(self._options.ca_file)
            self._tls = await asyncio.to_thread(lambda: ssl.create_default_context(cafile=file))

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, body: Body, timeout_s: float) -> Answer:
        """Send a body within the deadline. Never raises but for cancellation."""
        host = self.host(body.destination)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._post(host, body)
        except aiohttp.ClientHttpProxyError as error:
            return answer_of(error.status, {}, error.message, advice=advice(self._options))
        except aiohttp.ClientProxyConnectionError as error:
            why = os.strerror(error.errno) if error.errno else str(error.os_error)
            return Retry(f"the proxy on the way to {place(host)} cannot be reached ({why})")
        except aiohttp.InvalidURL as error:
            return Parked(f"no request can be made to {place(host)} ({error}): check `endpoint_url`")
        except Exception as error:
            return failure_of(error, place(host))

    def host(self, destination: Destination) -> str:
        """Where bodies of a sort go."""
        return self._options.intake if destination is Destination.LOGS else self._options.api

    async def _post(self, host: str, body: Body) -> Answer:
        codec = self._options.compression if body.destination is Destination.LOGS else Codec.NONE
        if len(body.data) >= _WORTH_A_THREAD:
            data = await asyncio.to_thread(compressed, codec, body.data)
        else:
            data = compressed(codec, body.data)
        headers = {
            "DD-API-KEY": self._options.api_key,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        if encoding := _ENCODINGS[codec]:
            headers["Content-Encoding"] = encoding
        session = self._connected()
        async with session.post(
            f"{host}{body.destination.value}", data=io.BytesIO(data), headers=headers, allow_redirects=False
        ) as response:
            said = await response.content.read(_MOST_ANSWER)
            if 200 <= response.status < 300 and response.content_type == "text/html":
                return Retry(
                    f"{place(host)} answered with a web page ({quoted(response.status, said)}): is that Datadog?"
                )
            return answer_of(response.status, response.headers, said, advice=advice(self._options))

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._options.concurrency + 1, ssl=self._tls),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=True,
                auto_decompress=True,
            )
        return self._session


def place(url: str) -> str:
    """A URL's host, as messages name it."""
    return urlsplit(url).netloc


def advice(options: DatadogOptions) -> Mapping[int, str]:
    """What a person can do about an answer, by its status."""
    if options.endpoint_url is not None:
        key = "check `api_key`, and that what is at `endpoint_url` passes it on"
    else:
        key = (
            f"check `api_key` and `site`: a key is known to its own site alone, and `site` is {options.site}"
        )
    return {
        401: key,
        403: key,
        404: "check `endpoint_url`" if options.endpoint_url is not None else "check `site`",
    }
