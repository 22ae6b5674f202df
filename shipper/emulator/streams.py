"""The calls that are or were open: what tests wait for, and where faults reach a stream."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc

LOGS = "StreamAppLogs"
EVENTS = "StreamAppEvents"
ENDED = (grpc.StatusCode.OK, "")  # a stream that is cut in good order, though more is to come


@dataclass(eq=False, slots=True)
class OpenStream:
    """One open server stream. Its pump looks at `cut`, `stalled` and `garbage` whenever the bell rings."""

    method: str
    app: str
    replica_id: str  # "" on aggregate streams and streams of events
    token: str
    from_start: bool
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    cut: tuple[grpc.StatusCode, str] | None = None
    stalled: bool = False
    garbage: deque[bytes] = field(default_factory=deque)
    repeats: int = 0  # of the next lines so many are sent twice
    sent: int = 0

    @property
    def disturbed(self) -> bool:
        """Whether the pump has something else to do than to send what is there."""
        return self.cut is not None or self.stalled or bool(self.garbage)


class Calls:
    """Counts calls by method, keeps the open streams, and lets tests wait for either."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()  # by method, refused ones too
        self.open: set[OpenStream] = set()
        self.listed: set[str] = set()  # replicas that an answer of ListAppReplicas has named
        self.repeated: Counter[object] = (
            Counter()
        )  # lines that a stream brought once more than they were printed
        self._changed = asyncio.Event()

    def note(self, method: str) -> None:
        """A call came in."""
        self.made[method] += 1
        self._pulse()

    def opened(self, stream: OpenStream) -> None:
        """A stream begins to be served."""
        self.open.add(stream)
        self._pulse()

    def closed(self, stream: OpenStream) -> None:
        """A stream is over."""
        self.open.discard(stream)
        self._pulse()

    def progressed(self) -> None:
        """A stream has sent a batch."""
        self._pulse()

    def matching(
        self, *, method: str | None = None, app: str | None = None, replica_id: str | None = None
    ) -> Iterator[OpenStream]:
        """The open streams with these properties."""
        for stream in list(self.open):
            if (
                (method is None or stream.method == method)
                and (app is None or stream.app == app)
                and (replica_id is None or stream.replica_id == replica_id)
            ):
                yield stream

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition over calls and streams holds; looked at after every call, stream and batch sent."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def until_made(self, method: str, times: int = 1) -> None:
        """Wait until a method has been called that often in all."""
        await self.until(lambda: self.made[method] >= times)

    async def until_open(
        self,
        count: int = 1,
        *,
        method: str | None = LOGS,
        app: str | None = None,
        replica_id: str | None = None,
    ) -> list[OpenStream]:
        """Wait until at least `count` matching streams are open."""

        def there() -> list[OpenStream]:
            return list(self.matching(method=method, app=app, replica_id=replica_id))

        await self.until(lambda: len(there()) >= count)
        return there()

    def _pulse(self) -> None:
        self._changed.set()
