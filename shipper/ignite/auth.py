"""Bearer tokens: where they come from, when they are made anew, and who waits for whom.

Lifetimes and the token endpoint's form are those of OAuth client credentials (RFC 6749 section 4.4) as
Keycloak serves it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import orjson
import tenacity

from shipper.ignite.status import CallFailed, Code, Status

log = logging.getLogger("shipper.ignite.auth")

SKEW_S: Final = 30.0  # a token is made anew this long before it expires, as the platform's own clients do
DEFAULT_LIFETIME_S: Final = (
    300.0  # where the answer does not say; the platform's tokens live about five minutes
)
_ATTEMPT_TIMEOUT_S: Final = 10.0
_RETRY_FOR_S: Final = 20.0  # then the caller hears of it and backs off by itself


class TokenSource(Protocol):
    """Gives the bearer token for the next call."""

    async def token(self) -> str | None:
        """The token to send, or None for none. Raises CallFailed where none can be had."""

    def refuse(self, token: str) -> None:
        """The server did not accept `token`: do not give it out again where another can be had."""


@dataclass(frozen=True, slots=True)
class NoToken:
    """`auth.type: none`."""

    async def token(self) -> str | None:
        return None

    def refuse(self, token: str) -> None:
        """There is nothing to replace."""


@dataclass(frozen=True, slots=True, repr=False)
class FixedToken:
    """`auth.type: token`."""

    value: str

    async def token(self) -> str | None:
        return self.value

    def refuse(self, token: str) -> None:
        """There is no other."""


@dataclass(slots=True, repr=False)
class TokenFile:
    """`auth.type: token_file`: read again whenever the file changes, as mounted secrets do."""

    path: Path
    _value: str = ""
    _stamp: tuple[int, int, int] = (0, 0, 0)

    async def token(self) -> str | None:
        try:
            stat = self.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if stamp != self._stamp:
                self._value = self.path.read_text(encoding="utf-8").strip()
                self._stamp = stamp
        except OSError as error:
            if not self._value:
                raise CallFailed(
                    Status(Code.UNAUTHENTICATED, f"cannot read the token file {self.path}: {error.strerror}")
                ) from error
            log.warning(
                "token file cannot be read; the last token stays in use", extra={"error": error.strerror}
            )
        if not self._value:
            raise CallFailed(Status(Code.UNAUTHENTICATED, f"the token file {self.path} is empty"))
        return self._value

    def refuse(self, token: str) -> None:
        self._stamp = (0, 0, 0)


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """What a token endpoint gave: the token and for how many seconds."""

    token: str
    lifetime_s: float


Fetch = Callable[[], Awaitable[Grant]]


@dataclass(slots=True, repr=False)
class ClientCredentials:
    """`auth.type: client_credentials`: one refresh at a time, shared by all who wait.

    While the endpoint is down, the old token is given out until it really expires.
    """

    fetch: Fetch
    clock: Callable[[], float] = time.monotonic
    _grant: Grant | None = None
    _expires: float = 0.0
    _next_try: float = 0.0
    _refresh: asyncio.Task[Grant] | None = field(default=None)

    async def token(self) -> str | None:
        now = self.clock()
        grant = self._grant
        if grant is not None and now < self._expires - self._skew(grant):
            return grant.token
        if grant is not None and now < self._expires and now < self._next_try:
            return grant.token
        try:
            return (await self._shared_refresh()).token
        except CallFailed as error:
            if grant is not None and grant is self._grant and self.clock() < self._expires:
                self._next_try = self.clock() + 5.0
                log.warning(
                    "token endpoint failed; the current token stays in use until it expires",
                    extra={"error": error.status.message, "seconds": round(self._expires - self.clock())},
                )
                return grant.token
            raise

    def refuse(self, token: str) -> None:
        if self._grant is not None and self._grant.token == token:
            self._grant = None

    @staticmethod
    def _skew(grant: Grant) -> float:
        """Never more than half of a short life."""
        return min(SKEW_S, grant.lifetime_s / 2)

    async def _shared_refresh(self) -> Grant:
        """Everyone awaits the same task; shielded, so that one caller's cancellation does not fail the
        others.
        """
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._fetch_once(), name="token refresh")
        return await asyncio.shield(self._refresh)

    async def _fetch_once(self) -> Grant:
        asked = self.clock()
        grant = await self.fetch()
        self._grant = grant
        self._expires = asked + grant.lifetime_s
        self._next_try = 0.0
        return grant


@dataclass(frozen=True, slots=True, repr=False)
class TokenEndpoint:
    """Fetches grants over HTTP with a few retries; what fails for good is UNAUTHENTICATED, what may pass is
    UNAVAILABLE.
    """

    url: str
    client_id: str
    client_secret: str

    async def __call__(self) -> Grant:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5.0),
            stop=tenacity.stop_after_delay(_RETRY_FOR_S),
            reraise=True,
        )
        grant: Grant = await retrying(self._fetch)
        return grant

    async def _fetch(self) -> Grant:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        try:
            timeout = aiohttp.ClientTimeout(total=_ATTEMPT_TIMEOUT_S)
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
                session.post(self.url, data=form, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(1_000_000)
                return self._read(answer.status, body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise CallFailed(
                Status(Code.UNAVAILABLE, f"the token endpoint {self.url} cannot be reached: {reason}")
            ) from error

    def _read(self, status: int, body: bytes) -> Grant:
        if status in (400, 401, 403):
            raise CallFailed(
                Status(
                    Code.UNAUTHENTICATED,
                    f"the token endpoint {self.url} refused client_id {self.client_id!r} with HTTP {status}: check "
                    "auth.client_id and auth.client_secret",
                )
            )
        if status != 200:
            raise CallFailed(
                Status(Code.UNAVAILABLE, f"the token endpoint {self.url} answered HTTP {status}")
            )
        return _grant(self.url, body)


def _grant(url: str, body: bytes) -> Grant:
    try:
        answer = orjson.loads(body)
        token = answer["access_token"]
        lifetime = float(answer.get("expires_in") or DEFAULT_LIFETIME_S)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CallFailed(
            Status(Code.UNAVAILABLE, f"the token endpoint {url} answered something that is not a token")
        ) from error
    if not isinstance(token, str) or not token:
        raise CallFailed(Status(Code.UNAVAILABLE, f"the token endpoint {url} answered an empty token"))
    return Grant(token, lifetime)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, CallFailed) and error.status.code is Code.UNAVAILABLE
