"""What every sink of records must do, whatever it sends them to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from shipper.entry import Entry, Level
from shipper.model import Kind, Partition
from shipper.sinks.port import Delivered, Parcel, RecordSink
from tests.integration.sink_conformance import HOSTILE_NAMES, NOW_MS

PARTITION = Partition(Kind.LOGS, "acme-corp", "checkout", NOW_MS // 3_600_000)
HOSTILE_TEXTS = (
    "",
    " ",
    "\0",
    "\ud800",
    "a\ud800b",
    '"',
    "\\",
    "</script>",
    "x" * 3_000_000,
    "日" * 500_000,
    "{",
    "[]",
)
HOSTILE_FIELDS = (
    {},
    {"": ""},
    {"timestamp": "never"},
    {"a": {"b": [None, 1e300, -(2**63), 2**64 - 1]}},
    {"\ud800": 1},
)


@dataclass
class Held:
    """A request that waits at the destination: whether it is there, and whether it is answered (a refusal) now."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Harness(Protocol):
    """An opened sink, and a look at what its destination has."""

    @property
    def sink(self) -> RecordSink:
        """The sink under test."""

    def arrived(self) -> Sequence[str]:
        """The texts of the records that the destination has taken, in the order of their arrival."""

    def hold(self) -> Held:
        """Let the destination keep the next request waiting."""


def lines(count: int) -> list[Entry]:
    """Entries whose texts are their numbers."""
    return [line(str(number)) for number in range(count)]


def line(text: str, **changes: str) -> Entry:
    """A log line that any sink wants."""
    record = {
        "timestamp_ms": NOW_MS,
        "organization": "acme-corp",
        "app": "checkout",
        "replica_id": "checkout-1",
        "stream": "stdout",
        "line": text,
        **changes,
    }
    return Entry(record, Kind.LOGS, NOW_MS, text, level=Level.INFO, marks=frozenset({"logs"}))


async def send_all(sink: RecordSink, entries: Sequence[Entry]) -> list[Parcel]:
    """Pack and send, one after the other; every parcel must be taken."""
    parcels = list(sink.pack(PARTITION, entries))
    for parcel in parcels:
        if parcel.body is not None:
            assert isinstance(await sink.send(parcel), Delivered)
    return parcels


class RecordSinkContract:
    """Derive a `Test...` class from it and give that a fixture `harness`."""

    async def test_every_record_arrives_once_and_in_order(self, harness: Harness) -> None:
        await send_all(harness.sink, lines(2_500))
        assert harness.arrived() == [str(number) for number in range(2_500)]

    async def test_parcels_settle_every_entry_one_after_the_other(self, harness: Harness) -> None:
        parcels = list(harness.sink.pack(PARTITION, lines(2_500)))
        settles = [parcel.settles for parcel in parcels]
        assert settles == sorted(settles)
        assert settles[-1] == 2_500
        assert all(0 <= parcel.start < parcel.stop <= 2_500 for parcel in parcels)
        assert all(parcel.settles <= parcel.stop for parcel in parcels)

    async def test_a_parcel_that_is_sent_again_arrives_again(self, harness: Harness) -> None:
        """At least once is all that these destinations offer, so nothing may be remembered of what was sent."""
        (parcel,) = harness.sink.pack(PARTITION, lines(3))
        for _ in range(2):
            assert isinstance(await harness.sink.send(parcel), Delivered)
        assert harness.arrived() == ["0", "1", "2"] * 2

    async def test_entries_packed_from_anywhere_on_arrive_as_the_rest(self, harness: Harness) -> None:
        await send_all(harness.sink, lines(10)[4:])
        assert harness.arrived() == [str(number) for number in range(4, 10)]

    async def test_parcels_sent_at_once_arrive_whole(self, harness: Harness) -> None:
        parcels = [list(harness.sink.pack(PARTITION, [line(f"{number}")])) for number in range(50)]
        limit = asyncio.Semaphore(harness.sink.concurrency)

        async def send(parcel: Parcel) -> None:
            async with limit:
                assert isinstance(await harness.sink.send(parcel), Delivered)

        await asyncio.gather(*(send(parcel) for (parcel,) in parcels))
        assert sorted(harness.arrived(), key=int) == [str(number) for number in range(50)]

    async def test_a_cancelled_parcel_can_be_sent_again(self, harness: Harness) -> None:
        (parcel,) = harness.sink.pack(PARTITION, lines(3))
        held = harness.hold()
        sending = asyncio.create_task(harness.sink.send(parcel), name="send")
        await held.reached.wait()
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        held.released.set()
        assert isinstance(await harness.sink.send(parcel), Delivered)
        assert harness.arrived()[-3:] == ["0", "1", "2"]

    async def test_nothing_that_a_record_says_makes_packing_or_sending_fail(self, harness: Harness) -> None:
        entries = [line(text) for text in HOSTILE_TEXTS]
        entries += [line("fields", app=name, replica_id=name, node_name=name) for name in HOSTILE_NAMES]
        entries += [replace(line("{}"), fields=fields) for fields in HOSTILE_FIELDS]
        entries += [
            replace(line("id"), trace_id=text, span_id=text, execution_id=text)
            for text in ("", "0", "x" * 100_000, "\ud800", "-" * 32)
        ]
        entries += [replace(line("time"), timestamp_ms=time_ms) for time_ms in (0, -1, 2**63 - 1, -(2**63))]
        parcels = await send_all(harness.sink, entries)
        dropped = sum(sum(parcel.dropped.values()) for parcel in parcels)
        assert len(harness.arrived()) + dropped == len(entries)

    async def test_a_check_finds_it_well_and_leaves_nothing(self, harness: Harness) -> None:
        assert isinstance(await harness.sink.check(), Delivered)
        assert harness.arrived() == []

    async def test_closing_twice_is_as_closing_once(self, harness: Harness) -> None:
        await send_all(harness.sink, lines(1))
        await harness.sink.aclose()
        await harness.sink.aclose()
