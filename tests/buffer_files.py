"""Buffers, frames and cursors for tests, and a watch over the disk that a buffer takes."""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from shipper.archive.codec import LogIdentity, compress, decode, decompress, encode_logs
from shipper.buffer import Buffer, Route, Sinks, WhenFull
from shipper.model import Codec, CursorWrite, Frame, Kind, Partition
from tests.fakes.meter import FakeMeter

MIB = 1024 * 1024
HOUR = 489_000
_NOISE = random.Random(1).randbytes(MIB)


def partition(app: str = "shop", hour: int = HOUR, kind: Kind = Kind.LOGS) -> Partition:
    return Partition(kind, "acme", app, hour)


def frame(
    size: int = 100,
    where: Partition | None = None,
    *,
    records: int = 1,
    first_ms: int = 1_760_400_000_000,
    codec: Codec = Codec.NONE,
    seed: object = 0,
) -> Frame:
    """A frame whose stored bytes are exactly `size` random ones; nobody decodes it."""
    data = _noise(size, seed)
    return Frame(where or partition(), codec, records, first_ms, first_ms + 999, size, data)


def _noise(size: int, seed: object) -> bytes:
    """Bytes that do not compress; the same for the same seed, and quickly made."""
    start = random.Random(repr(seed)).randrange(len(_NOISE) // 2)
    piece = _NOISE[start : start + size]
    return (
        piece + _NOISE[: size - len(piece)]
        if size <= len(_NOISE)
        else (_NOISE * (size // len(_NOISE) + 1))[:size]
    )


def lines(
    *texts: str, where: Partition | None = None, codec: Codec = Codec.ZSTD, at: int = 1_760_400_000_000
) -> Frame:
    """A frame of real records."""
    where = where or partition()
    who = LogIdentity(where.organization, where.app)
    raw = b"".join(encode_logs(who, [at] * len(texts), [None] * len(texts), texts))
    return Frame(where, codec, len(texts), at, at, len(raw), compress(codec, raw))


def cursor(
    key: str = "cursor", state: bytes = b"state", *segments: tuple[int, bytes], below: int = 0
) -> CursorWrite:
    return CursorWrite(key, state, segments, below)


@asynccontextmanager
async def opened(
    directory: Path,
    *,
    max_size: int = 16 * MIB,
    when_full: WhenFull = WhenFull.BLOCK,
    sinks: Sinks | Sequence[str] = ("archive",),
    meter: FakeMeter | None = None,
    now: float | Callable[[], float] = 1_760_400_000.0,
    route: Route | None = None,
) -> AsyncIterator[Buffer]:
    buffer = await Buffer.open(
        directory,
        max_size=max_size,
        when_full=when_full,
        sinks=sinks,
        meter=meter or FakeMeter(),
        codec=Codec.ZSTD,
        clock=now if callable(now) else lambda: now,
        route=route,
    )
    try:
        yield buffer
    finally:
        await buffer.close()


async def everything(buffer: Buffer, sink: str = "archive") -> dict[Partition, list[dict[str, Any]]]:
    """Seal, read and acknowledge all that the sink has, and decode it."""
    found: dict[Partition, list[dict[str, Any]]] = {}
    while True:
        batches = await buffer.sealed(sink)
        for one in await buffer.open_partitions(sink):
            batch = await buffer.seal(sink, one.partition, max_size=64 * MIB)
            if batch is not None:
                batches.append(batch)
        if not batches:
            return found
        for batch in batches:
            frames = await buffer.read(batch)
            if frames is not None:
                data = decompress(batch.codec, b"".join(frames))
                found.setdefault(batch.partition, []).extend(decode(data))
                await buffer.acknowledge(batch)


def texts(found: Mapping[Partition, list[dict[str, Any]]], kind: Kind = Kind.LOGS) -> list[str]:
    """The lines of one kind, in the order of their partitions' hours."""
    ordered = sorted(
        (where for where in found if where.kind is kind), key=lambda where: (where.hour, where.app)
    )
    return [record["line"] for where in ordered for record in found[where]]


def gaps(found: Mapping[Partition, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The gap records."""
    return [record for where, records in found.items() if where.kind is Kind.GAPS for record in records]


class Watch:
    """The most that the files of a buffer took together, as seen by a thread that does nothing but look."""

    def __init__(self, directory: Path) -> None:
        self._paths = [directory / "buffer.sqlite3", directory / "buffer.sqlite3-wal"]
        self._stop = threading.Event()
        self.most = 0
        self.looks = 0

    def look(self) -> None:
        size = 0
        for path in self._paths:
            try:
                size += path.stat().st_size
            except FileNotFoundError:
                continue
        self.most = max(self.most, size)
        self.looks += 1

    def _run(self) -> None:
        while not self._stop.wait(0.0002):
            self.look()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="watch")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
