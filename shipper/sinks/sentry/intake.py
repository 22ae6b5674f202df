"""The HTTP side of a sink: one DSN, its requests and their answers."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from shipper.sinks.sentry.envelope import CLIENT

_GZIP_LEVEL: Final = 3  # from 4 on the time nearly doubles for a tenth fewer bytes: docs/performance.md
_GZIP_WINDOW: Final = 31  # zlib's way of saying: with a gzip header and trailer
_INLINE: Final = 32 * 1024  # what is larger is compressed in a thread
_MOST_ANSWER: Final = 4096
_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its body cut."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where a DSN leads: the URL for envelopes, and the header that shows its key. `host` is for messages."""

    url: str
    host: str
    auth: str

    @classmethod
    def of(cls, dsn: str) -> Address:
        """What the DSN says, by sentry-sdk's own reading of it. Raises ValueError for one that it does not take."""
        # Imported here, as it takes 70 ms and 4 MiB that a daemon without Sentry need not spend.
        from sentry_sdk.utils import Dsn

        parsed = Dsn(dsn)
        auth = parsed.to_auth(CLIENT)
        return cls(auth.get_api_url(), parsed.netloc, auth.to_header())

    def __repr__(self) -> str:
        return f"Address({self.host})"


class Intake:
    """Posts envelopes. Redirects are not followed: they would carry the key elsewhere."""

    def __init__(self, address: Address, ca_file: Path | None, connections: int) -> None:
        self._address = address
        self._ca_file = ca_file
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the client. OSError for authorities that cannot be read."""
        trust: ssl.SSLContext | bool = True
        if self._ca_file is not None:
            trust = await asyncio.to_thread(ssl.create_default_context, cafile=str(self._ca_file))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            trust_env=True,
            headers={
                "User-Agent": CLIENT,
                "Content-Type": "application/x-sentry-envelope",
                "Content-Encoding": "gzip",
                "X-Sentry-Auth": self._address.auth,
            },
        )

    async def post(self, data: bytes) -> Reply:
        """Send one envelope. Raises what the client raises where no answer comes; bounded in time by the caller."""
        assert self._session is not None, "the sink is not open"
        packed = compressed(data) if len(data) <= _INLINE else await asyncio.to_thread(compressed, data)
        async with self._session.post(self._address.url, data=packed, allow_redirects=False) as answer:
            body = await answer.content.read(_MOST_ANSWER)
            return Reply(answer.status, dict(answer.headers), body)

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def compressed(data: bytes) -> bytes:
    """As a request carries it."""
    return zlib.compress(data, _GZIP_LEVEL, _GZIP_WINDOW)
