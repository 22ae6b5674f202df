"""Bearer tokens: where they come from, when they are made anew, and who waits for whom."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from shipper.ignite.status import CallFailed, Code, Status
from shipper.meter import Meter

log = logging.getLogger("shipper.ignite.auth")

SKEW_S: Final = 30.0  # a token is made anew this long before it expires, as the platform's own clients do
_AGAIN_S: Final = 5.0  # between two refreshes that fail while the old token is still good
_YOUNG_S: Final = 60.0  # a token that is refused so soon was not refused for its age
_LONGEST_HOLD_S: Final = 30.0


class TokenSource(Protocol):
    """Gives the bearer token for the next call."""

    async def token(self) -> str | None:
        """The token to send, or None for none. Raises CallFailed where none can be had."""

    def refuse(self, token: str) -> None:
        """The server did not accept `token`: do not give it out again where another can be had."""

    async def aclose(self) -> None:
        """Stop what goes on in the background."""


@dataclass(frozen=True, slots=True)
class NoToken:
    """`auth.type: none`."""

    async def token(self) -> str | None:
        return None

    def refuse(self, token: str) -> None:
        """There is nothing to replace."""

    async def aclose(self) -> None:
        """Nothing goes on."""


@dataclass(frozen=True, slots=True, repr=False)
class FixedToken:
    """`auth.type: token`."""

    value: str

    async def token(self) -> str | None:
        return self.value

    def refuse(self, token: str) -> None:
        """There is no other."""

    async def aclose(self) -> None:
        """Nothing goes on."""


@dataclass(slots=True, repr=False)
class TokenFile:
    """`auth.type: token_file`: read again whenever the file changes, as mounted secrets do.

    A file that is missing, empty or half written leaves the last token in use.
    """

    path: Path
    _value: str = ""
    _stamp: tuple[int, int, int] = (0, 0, 0)
    _problem: str = ""

    async def token(self) -> str | None:
        problem = self._read_again()
        if problem and not self._value:
            self._problem = problem
            raise CallFailed(Status(Code.UNAUTHENTICATED, problem))
        if problem and problem != self._problem:
            log.warning("%s; the last token stays in use", problem)
        self._problem = problem
        return self._value

    @property
    def problem(self) -> str:
        """What was wrong with the file when a token was last asked for; empty if nothing was."""
        return self._problem

    def refuse(self, token: str) -> None:
        """Look into the file again, even if it seems unchanged."""
        self._stamp = (0, 0, 0)

    async def aclose(self) -> None:
        """Nothing goes on."""

    def _read_again(self) -> str:
        """Read the file if it changed; what is wrong with it, or nothing."""
        try:
            stat = self.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if stamp == self._stamp:
                return self._problem
            content = self.path.read_bytes().strip().decode("ascii", "replace")
        except OSError as error:
            self._stamp = (0, 0, 0)
            return f"cannot read the token file {self.path}: {error.strerror}"
        self._stamp = stamp
        if not is_bearer(content):
            return f"the token file {self.path} holds {'something else than one token' if content else 'nothing'}"
        self._value = content
        return ""


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """What a token endpoint gave: the token and for how many seconds."""

    token: str
    lifetime_s: float


Fetch = Callable[[], Awaitable[Grant]]


@dataclass(slots=True, repr=False)
class ClientCredentials:
    """`auth.type: client_credentials`: one refresh at a time, shared by all who wait.

    Within the skew before its end, a token is still given out while the next one is fetched in the background; so a
    token endpoint that is down is felt by callers only when the old token has really expired.
    """

    fetch: Fetch
    clock: Callable[[], float] = time.monotonic
    meter: Meter | None = None
    _grant: Grant | None = None
    _issued: float = 0.0
    _expires: float = 0.0
    _renew: float = 0.0  # from when on the next one is fetched
    _refused: Grant | None = None
    _refused_young: int = 0
    _problem: str = ""
    _refresh: asyncio.Task[Grant] | None = field(default=None)

    async def token(self) -> str | None:
        now, grant = self.clock(), self._grant
        if grant is not None and now < self._renew:
            return grant.token
        refresh = self._refreshing()
        if grant is not None and now < self._expires:
            return grant.token
        # Waited for from outside: one caller that is cancelled must not take the refresh from the others.
        await asyncio.wait({refresh})
        if refresh.cancelled():
            raise CallFailed(Status(Code.CANCELLED, "the connections are closed"))
        return refresh.result().token

    @property
    def expires_in_s(self) -> float | None:
        """How long the present token is good, 0 if it is not any more; None before the first."""
        return None if self._grant is None else max(0.0, self._expires - self.clock())

    @property
    def problem(self) -> str:
        """Why the last refresh failed; empty if it did not."""
        return self._problem

    def refuse(self, token: str) -> None:
        """The token's life ends. Where fresh ones are refused one after the other, something else is wrong than their
        age, and the token endpoint must not be asked with every call: each lives a little longer than the last.
        """
        if self._grant is None or self._grant.token != token or self._refused is self._grant:
            return
        self._refused = self._grant
        now = self.clock()
        young = now - self._issued < _YOUNG_S
        self._refused_young = self._refused_young + 1 if young else 1
        hold = (
            0.0 if self._refused_young == 1 else min(_LONGEST_HOLD_S, 2.0 ** min(self._refused_young - 2, 10))
        )
        self._expires = min(self._expires, max(now, self._issued + hold))
        self._renew = min(self._renew, self._expires)

    async def aclose(self) -> None:
        """Cancel a refresh that is under way; callers that wait for it fail."""
        if self._refresh is not None and not self._refresh.done():
            self._refresh.cancel()
            await asyncio.wait({self._refresh})

    def _refreshing(self) -> asyncio.Task[Grant]:
        """The refresh under way, else a new one. It belongs to no caller, so no caller's TaskGroup holds it."""
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._fetch(), name="token refresh")
            self._refresh.add_done_callback(self._refreshed)
        return self._refresh

    async def _fetch(self) -> Grant:
        asked = self.clock()
        grant = await self.fetch()
        self._grant, self._issued = grant, asked
        self._expires = asked + grant.lifetime_s
        self._renew = self._expires - min(
            SKEW_S, grant.lifetime_s / 2
        )  # never more than half of a short life
        return grant

    def _refreshed(self, refresh: asyncio.Task[Grant]) -> None:
        """Count, and see the exception, which perhaps nobody waits for."""
        if refresh.cancelled():
            return
        error = refresh.exception()
        self._problem = "" if error is None else str(error)
        if self.meter is not None:
            self.meter.count("token_refreshes_total", 1, "ok" if error is None else "failed")
        left = self._expires - self.clock()
        if error is not None and self._grant is not None and left > 0:
            self._renew = self.clock() + _AGAIN_S
            log.warning(
                "no new token; the current one stays in use until it expires: %s",
                error,
                extra={"seconds": round(left)},
            )


def is_bearer(token: str) -> bool:
    """Whether a text can stand after `Bearer ` in a header."""
    return re.fullmatch(r"[\x21-\x7e]+", token) is not None
