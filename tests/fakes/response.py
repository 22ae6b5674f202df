"""An HTTP answer whose pieces are given, for what reads answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from shipper.ignite.transport import NO_HEADERS, TransportError


@dataclass(slots=True)
class FakeResponse:
    """A `Response` that has come; with `failure` it breaks after its pieces."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    trailers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    failure: TransportError | None = None
    closed: bool = False

    async def begun(self) -> None:
        """It has."""

    async def body(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.closed = True
