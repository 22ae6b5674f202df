"""Intake and the real buffer: thousands of cursors with full windows."""

from __future__ import annotations

import asyncio
from array import array
from pathlib import Path

import pytest

from shipper.archive.codec import LogIdentity
from shipper.buffer import Buffer, WhenFull
from shipper.collect.cursor import Cursor
from shipper.collect.intake import Intake, may_wait
from shipper.collect.keys import cursor_key
from shipper.model import App, Codec, Kind
from tests.fakes.meter import FakeMeter

REPLICAS = 1_100
NOON = 1_716_897_600_000
SIZE = 32 * 1024 * 1024


@pytest.mark.parametrize("kind", ["all come back", "all print a line"])
async def test_what_thousands_of_replicas_bring_at_once_is_committed(tmp_path: Path, kind: str) -> None:
    """A restart touches every cursor, and with a line of each replica all of them are written: more than one
    transaction of the buffer takes.
    """
    app = App("acme", "checkout")
    cursors = [Cursor(cursor_key(Kind.LOGS, app, f"checkout-{n}")) for n in range(REPLICAS)]
    meter = FakeMeter()
    buffer = await Buffer.open(
        tmp_path, max_size=SIZE, when_full=WhenFull.BLOCK, sinks=("archive",), meter=meter, codec=Codec.ZSTD
    )
    for at in range(0, REPLICAS, 50):
        some = cursors[at : at + 50]
        for n, cursor in enumerate(some):
            times = list(range(NOON, NOON + 320))
            cursor.window.add(times, array("Q", (1_000_003 * (n + at) + time for time in times)))
        await buffer.commit([], [cursor.write() for cursor in some])
    intake = Intake(buffer, Codec.ZSTD, meter, hold_at=may_wait(SIZE, buffer.largest_commit))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(intake.run(), name="intake")
        for n, cursor in enumerate(cursors):
            await intake.admit()
            if kind == "all come back":
                intake.touch(cursor)
                continue
            cursor.sift([NOON + 400], lambda n=n: array("Q", [n]))
            who = LogIdentity("acme", "checkout", f"checkout-{n}")
            intake.take_logs(who, [NOON + 400], ["stdout"], ["a line"], cursor)
        async with asyncio.timeout(20):
            await intake.settled()
        await intake.close()
    assert meter.counts["commits_total", "full"] == 0
    assert meter.counts["commits_total", "ok"] > 1
    lines = REPLICAS if kind == "all print a line" else 0
    assert sum(Cursor.load(stored).taken for stored in await buffer.cursors()) == lines
    await buffer.close()
