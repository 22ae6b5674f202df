"""The stdout sink on pipes and files."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipper.archive.codec import compress
from shipper.model import Batch, Codec, Kind, Partition
from shipper.sinks.port import Delivered, Parked, Rejected, Retry
from shipper.sinks.stdout import StdoutSink

LINES = b'{"line":"a"}\n{"line":"b"}\n'


def batch(codec: Codec = Codec.ZSTD) -> Batch:
    return Batch(1, "debug", Partition(Kind.LOGS, "acme", "checkout", 0), "name", codec, 2, 3, 0, 0)


class Pipe:
    """A sink that writes to a pipe of two pages, and the end to read from."""

    def __init__(self) -> None:
        self.end, self._start = os.pipe()
        fcntl.fcntl(self._start, fcntl.F_SETPIPE_SZ, 8192)
        self.sink = StdoutSink("debug", self._start)

    async def read(self) -> bytes:
        return await asyncio.to_thread(os.read, self.end, 1 << 20)

    async def read_all(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self.read()
        return data

    async def close(self) -> None:
        await self.sink.aclose()
        os.close(self._start)
        if self.end >= 0:
            os.close(self.end)


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    pipe = Pipe()
    yield pipe
    await pipe.close()


@pytest.mark.parametrize("codec", list(Codec))
async def test_records_come_out_as_lines_of_json(pipe: Pipe, codec: Codec) -> None:
    frames = [compress(codec, LINES), compress(codec, LINES)]
    assert await pipe.sink.send(batch(codec), frames) == Delivered()
    assert await pipe.read() == LINES * 2


async def test_more_than_the_pipe_holds_comes_out_in_order(pipe: Pipe) -> None:
    text = b"".join(b'{"n":%d}\n' % number for number in range(20_000))
    sending = asyncio.create_task(pipe.sink.send(batch(), [compress(Codec.ZSTD, text)]), name="send")
    assert await pipe.read_all(len(text)) == text
    assert await sending == Delivered()


async def test_a_reader_that_does_not_read_holds_the_sink_and_not_the_loop(pipe: Pipe) -> None:
    sending = asyncio.create_task(pipe.sink.send(batch(), [compress(Codec.ZSTD, LINES * 1000)]), name="send")
    for _ in range(100):
        await asyncio.sleep(0)
    assert not sending.done()
    assert await pipe.read_all(len(LINES) * 1000) == LINES * 1000
    assert await sending == Delivered()


async def test_after_a_send_is_called_off_the_next_begins_on_a_new_line(pipe: Pipe) -> None:
    long = b'{"line":"' + b"x" * 100_000 + b'"}\n'
    sending = asyncio.create_task(pipe.sink.send(batch(), [compress(Codec.ZSTD, long)]), name="send")
    begun = await pipe.read()
    sending.cancel()
    await asyncio.wait([sending])
    again = asyncio.create_task(pipe.sink.send(batch(), [compress(Codec.ZSTD, LINES)]), name="again")
    rest = begun
    while not rest.endswith(LINES):
        rest += await pipe.read()
    assert await again == Delivered()
    torn, *whole = rest.splitlines(keepends=True)
    assert long.startswith(torn.rstrip(b"\n"))
    assert b"".join(whole) == LINES


async def test_a_reader_that_went_away_parks_the_sink(pipe: Pipe) -> None:
    os.close(pipe.end)
    pipe.end = -1
    outcome = await pipe.sink.send(batch(), [compress(Codec.ZSTD, LINES)])
    assert isinstance(outcome, Parked)
    assert "restart the daemon with a reader" in outcome.reason


async def test_closing_ends_a_write_that_waits_for_its_reader(pipe: Pipe) -> None:
    sending = asyncio.create_task(pipe.sink.send(batch(), [compress(Codec.ZSTD, LINES * 1000)]), name="send")
    await pipe.read()
    await pipe.sink.aclose()
    assert isinstance(await sending, Retry)


async def test_a_file_gets_everything(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        sink = StdoutSink("debug", file.fileno())
        text = LINES * 100_000
        assert await sink.send(batch(), [compress(Codec.ZSTD, text)]) == Delivered()
        await sink.aclose()
    assert (tmp_path / "out").read_bytes() == text


async def test_a_full_disk_is_a_retry() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        sink = StdoutSink("debug", full.fileno())
        outcome = await sink.send(batch(), [compress(Codec.ZSTD, LINES)])
        assert isinstance(outcome, Retry)
        assert "No space left" in outcome.reason
        await sink.aclose()


async def test_a_closed_descriptor_parks_sends_and_checks() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    sink = StdoutSink("debug", writing)
    assert isinstance(await sink.check(), Parked)
    assert isinstance(await sink.send(batch(), [compress(Codec.ZSTD, LINES)]), Parked)
    await sink.aclose()


async def test_a_check_prints_nothing(pipe: Pipe) -> None:
    assert isinstance(await pipe.sink.check(), Delivered)
    os.set_blocking(pipe.end, False)
    with pytest.raises(BlockingIOError):
        os.read(pipe.end, 1)


async def test_a_frame_that_cannot_be_unpacked_is_rejected(pipe: Pipe) -> None:
    assert isinstance(await pipe.sink.send(batch(), [b"damaged"]), Rejected)
