"""A violation is printed with the record's life: each of its stages says how far the record came."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shipper.archive.codec import LogIdentity, compress, encode_logs
from shipper.collect.cursor import Cursor
from shipper.collect.fingerprint import fingerprints
from shipper.collect.keys import cursor_key
from shipper.emulator import Printed
from shipper.emulator.ledger import Ledger
from shipper.model import App, Codec, Frame, Kind
from tests.buffer_files import opened, partition
from tests.chaos.harvest import Shelf
from tests.chaos.life import life

AT = 1_760_400_000_000
APP = App("acme", "shop")


def line(number: int) -> Printed:
    return Printed("shop", "pod-a", AT + number, "stdout", f"line {number}")


def cursor_over(*lines: Printed) -> Cursor:
    cursor = Cursor(cursor_key(Kind.LOGS, APP, "pod-a"))
    cursor.begin()
    times = [one.timestamp_ms for one in lines]
    prints = fingerprints(times, [one.stream for one in lines], [one.line for one in lines])
    cursor.sift(times, lambda: prints)
    return cursor


def frame_of(*lines: Printed) -> Frame:
    who = LogIdentity("acme", "shop", "pod-a")
    times = [one.timestamp_ms for one in lines]
    raw = b"".join(encode_logs(who, times, [one.stream for one in lines], [str(one.line) for one in lines]))
    data = compress(Codec.ZSTD, raw)
    return Frame(partition(), Codec.ZSTD, len(lines), times[0], times[-1], len(raw), data)


async def test_the_life_says_for_each_stage_how_far_the_record_came(tmp_path: Path) -> None:
    printed = [line(number) for number in range(1, 6)]
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame_of(line(1))], [cursor_over(line(1)).write()])
        assert await buffer.seal("archive", partition(), max_size=1) is not None
        await buffer.commit([frame_of(line(2))], [cursor_over(line(1), line(2), line(3)).write()])
    ledger = Ledger()
    for one in printed:
        ledger.print(one)
    ledger.unsent.append(line(5))
    site: Any = SimpleNamespace(
        ignite=SimpleNamespace(ledger=ledger),
        buffer=tmp_path,
        datadog=None,
        sentry=None,
        daemon=SimpleNamespace(said=lambda: "a line of another\nsomething of pod-a\n"),
    )
    shelf = Shelf(lines={"kind=logs/a.zst": [line(4)]})
    harvest: Any = SimpleNamespace(shelves={"directory": shelf})

    def told(number: int) -> str:
        return life(site, harvest, line(number))

    assert "printed: 1 times, as line [0] of 5" in told(1)
    assert "offered: carried by a stream" in told(1)
    assert "taken: 1 times, the cursor has 3 lines" in told(1)
    assert "committed: frame 1 has it 1 times" in told(1)
    assert "sealed: frame 1 for sink 0 in batch" in told(1)
    assert "delivered to directory: no object has it" in told(1)
    assert "log: something of pod-a" in told(1)
    assert "committed: frame 2 has it 1 times" in told(2)
    assert "sealed: in no batch that waits" in told(2)
    assert "committed: no frame in the buffer has it" in told(3)
    assert "delivered to directory: ['kind=logs/a.zst']" in told(4)
    assert "taken: never, of its replica 3 lines" in told(4)
    assert "offered: no stream ever carried it" in told(5)
