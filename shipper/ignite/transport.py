"""HTTP as the rest of ignite needs it: a request goes out, a response comes in, and how that fails.

    TransportError
    ├── ConnectFailed      there is no connection: no address, nobody listens, TLS refuses, it took too long
    │   └── NotUnderstood  a connection was made, and what is at its other end does not speak what we speak
    │       ├── NoHttp2    because it chose another version of HTTP when TLS was set up
    │       └── NoHttp     because it is no HTTP/1.1
    ├── ConnectionLost     a connection broke, or the other side broke the protocol; what was on it is cut
    ├── StreamReset        this one request was given up; `code` says why
    └── NotTaken           nobody looked at the request: it may be sent again

Nothing else is raised by a transport, whatever the other side sends. Other libraries' errors are the cause.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from shipper.errors import ShipperError

NO_HEADERS: Final[Mapping[str, str]] = {}
_LONGEST: Final = 500


class TransportError(ShipperError):
    """A request failed below its answer."""

    def again(self) -> TransportError:
        """The same for one more who waits: an exception that is raised twice collects both tracebacks."""
        twin = type(self)(*self.args)
        twin.__cause__ = self.__cause__
        return twin


class ConnectFailed(TransportError):
    """There is no connection."""


class NotUnderstood(ConnectFailed):
    """A connection was made, and what came over it (or did not) is not the protocol."""


class NoHttp2(NotUnderstood):
    """The server agreed to TLS, not to HTTP/2."""


class NoHttp(NotUnderstood):
    """What came is no HTTP/1.1."""


class ConnectionLost(TransportError):
    """A connection ended with requests on it."""


class StreamReset(TransportError):
    """One request was given up, by the other side or for what it answered. `code` is HTTP/2's (RFC 9113 section 7)."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class NotTaken(TransportError):
    """The connection carries as many requests as it may, or ended before it looked at this one."""


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` have names in lower case; where the request goes is the transport's."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


class Response(Protocol):
    """An answer as it comes in. One reader; a read that is cancelled loses nothing."""

    @property
    def status(self) -> int:
        """The HTTP status, 0 before it came."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case, the first of each; empty before they came."""

    @property
    def trailers(self) -> Mapping[str, str]:
        """The same of the trailers, complete when the body has ended."""

    async def begun(self) -> None:
        """Wait for status and headers."""

    def body(self) -> AsyncIterator[bytes]:
        """What arrived since the last time, in one piece. The sender is held back while this is not read."""

    def close(self) -> None:
        """Nobody wants more: what is under way is given up."""


class Transport(Protocol):
    """Sends requests to one place. It connects by itself when there is something to send."""

    @property
    def limit(self) -> int | None:
        """How many requests it carries at once; None while it is not connected, and nobody knows."""

    async def send(self, request: Request, /) -> Response:
        """Returns when the request is on its way; waits for the connection, for a bounded time."""

    async def aclose(self) -> None:
        """Close; requests under way fail with ConnectionLost, and so does every further one."""


def tidy(text: str) -> str:
    """Foreign text for a message of ours: one line, printable, bounded."""
    line = " ".join(text.split())[:_LONGEST]
    return line if line.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in line)
