"""What every archive sink must do, whatever it writes to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shipper.archive.codec import LogIdentity, compress, decode, decompress, encode_logs
from shipper.archive.layout import batch_name, hour_of, object_key
from shipper.model import Batch, Codec, Kind, Partition
from shipper.sinks.port import Delivered, Sink

NOW_MS = 1_790_000_000_000
HOSTILE_NAMES = (
    "../../../etc",
    "..",
    ".",
    "",
    "/",
    "/etc/passwd",
    "a/b",
    "a%2Fb",
    "%2e%2e",
    "a=b",
    "dt=2026-01-01",
    "with space",
    " ",
    "naïve 🚀 日本",
    "nul\0and\x1bescape\n",
    "_hidden",
    ".hidden",
    "back\\slash",
    "?query#fragment&more",
    "+plus",
    "x" * 300,
    "x" * 301,
    "日" * 120,
    "\ud800",
)


class Harness(Protocol):
    """An opened sink that compresses with zstd, and a look at what it has written."""

    @property
    def sink(self) -> Sink:
        """The sink under test."""

    @property
    def prefix(self) -> str:
        """What stands before the layout's own keys."""

    def objects(self) -> Mapping[str, bytes]:
        """All that lies at the destination, by key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch and its frames."""

    batch: Batch
    frames: tuple[bytes, ...]

    def batch_key(self, prefix: str = "", codec: Codec = Codec.ZSTD) -> str:
        return object_key(prefix, self.batch.partition, self.batch.name, codec)

    def key(self, harness: Harness) -> str:
        return self.batch_key(harness.prefix)


def sealed(
    lines: Sequence[Sequence[str]] = (("first", "second"), ("third",)),
    *,
    organization: str = "acme",
    app: str = "checkout",
    number: int = 0,
    codec: Codec = Codec.ZSTD,
) -> Sealed:
    """A batch of log lines, one frame for each inner sequence."""
    who = LogIdentity(organization, app, "replica-1")
    frames = tuple(
        compress(codec, b"".join(encode_logs(who, [NOW_MS] * len(frame), ["stdout"] * len(frame), frame)))
        for frame in lines
    )
    partition = Partition(Kind.LOGS, organization, app, hour_of(NOW_MS))
    batch = Batch(
        batch_id=number,
        sink="archive",
        partition=partition,
        name=batch_name(NOW_MS, "00c0ffee", number * 100, number * 100 + len(frames) - 1),
        codec=codec,
        records=sum(map(len, lines)),
        size=sum(map(len, frames)),
        first_ms=NOW_MS,
        last_ms=NOW_MS,
    )
    return Sealed(batch, frames)


def read_lines(data: bytes) -> list[str]:
    """The lines in an object."""
    return [record["line"] for record in decode(decompress(Codec.ZSTD, data))]


class ArchiveSinkContract:
    """Derive a `Test...` class from it and give that a fixture `harness`."""

    async def test_a_batch_is_one_object_of_its_frames_end_to_end(self, harness: Harness) -> None:
        one = sealed()
        assert isinstance(await harness.sink.send(one.batch, one.frames), Delivered)
        assert harness.objects() == {one.key(harness): b"".join(one.frames)}

    async def test_a_batch_sent_twice_ends_as_sent_once(self, harness: Harness) -> None:
        one = sealed()
        for _ in range(2):
            assert isinstance(await harness.sink.send(one.batch, one.frames), Delivered)
        assert harness.objects() == {one.key(harness): b"".join(one.frames)}

    async def test_a_batch_that_is_sent_twice_at_once_ends_as_sent_once(self, harness: Harness) -> None:
        one = sealed()
        outcomes = await asyncio.gather(*(harness.sink.send(one.batch, one.frames) for _ in range(2)))
        assert [type(outcome) for outcome in outcomes] == [Delivered] * 2
        assert harness.objects() == {one.key(harness): b"".join(one.frames)}

    async def test_a_cancelled_batch_sent_again_ends_as_sent_once(self, harness: Harness) -> None:
        expected: dict[str, bytes] = {}
        for number, delay in enumerate((None, 0, 0.001, 0.003, 0.006)):
            one = sealed([["x" * 1000 * (frame + 1)] for frame in range(50)], number=number)
            sending = asyncio.create_task(harness.sink.send(one.batch, one.frames), name="send")
            if delay is not None:
                await asyncio.sleep(delay)
            sending.cancel()
            await asyncio.wait([sending])
            assert isinstance(await harness.sink.send(one.batch, one.frames), Delivered)
            expected[one.key(harness)] = b"".join(one.frames)
        assert harness.objects() == expected

    async def test_sends_at_once_do_not_mix(self, harness: Harness) -> None:
        count = harness.sink.concurrency * 3
        many = [
            sealed([[f"{number} {line}" for line in range(200)]], number=number) for number in range(count)
        ]
        outcomes = await asyncio.gather(*(harness.sink.send(one.batch, one.frames) for one in many))
        assert [type(outcome) for outcome in outcomes] == [Delivered] * count
        assert harness.objects() == {one.key(harness): b"".join(one.frames) for one in many}

    async def test_hostile_names_stay_apart_and_below_the_root(self, harness: Harness) -> None:
        many = [sealed(organization=name, app=name, number=n) for n, name in enumerate(HOSTILE_NAMES)]
        # The same name for the file, so that only the folders keep them apart.
        many = [replace(one, batch=replace(one.batch, name=many[0].batch.name)) for one in many]
        for one in many:
            assert isinstance(await harness.sink.send(one.batch, one.frames), Delivered)
        assert harness.objects() == {one.key(harness): b"".join(one.frames) for one in many}
        assert len({one.key(harness) for one in many}) == len(HOSTILE_NAMES)

    async def test_a_line_of_10_mib_comes_out_whole(self, harness: Harness) -> None:
        line = "0123456789abcdef" * (10 * 1024 * 1024 // 16)
        one = sealed([["before"], [line], ["after"]])
        assert isinstance(await harness.sink.send(one.batch, one.frames), Delivered)
        assert read_lines(harness.objects()[one.key(harness)]) == ["before", line, "after"]

    async def test_a_batch_in_another_codec_is_packed_anew_always_alike(self, harness: Harness) -> None:
        many = [sealed(codec=codec, number=number) for number, codec in enumerate(Codec)]
        seen = []
        for _ in range(2):
            for one in many:
                assert isinstance(await harness.sink.send(one.batch, one.frames), Delivered)
            seen.append(dict(harness.objects()))
        assert seen[0] == seen[1]
        for one in many:
            assert read_lines(seen[0][one.key(harness)]) == ["first", "second", "third"]

    async def test_a_check_finds_it_well_and_leaves_nothing(self, harness: Harness) -> None:
        assert isinstance(await harness.sink.check(), Delivered)
        assert harness.objects() == {}

    async def test_closing_twice_is_as_closing_once(self, harness: Harness) -> None:
        await harness.sink.aclose()
        await harness.sink.aclose()
