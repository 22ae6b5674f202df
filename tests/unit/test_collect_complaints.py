"""What users of other shippers complain of, where no other test is about it (docs/complaints.md)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from tests.fakes.collection import collecting
from tests.virtual_time import virtual_time


@virtual_time
async def test_a_replica_whose_status_changes_keeps_its_stream() -> None:
    """What a listing says of readiness, status and node is no reason to begin anew."""
    async with collecting() as it:
        app = it.platform.app("checkout")
        replica = app.start("checkout-1")
        replica.print("ready")
        await it.caught_up()
        streams = list(replica.streams)
        seen = replica.describe()
        app.answers.extend(
            [replace(seen, ready=turn % 2 == 0, status=f"STATUS_{turn}", node_name=f"node-{turn}")]
            for turn in range(6)
        )
        while app.answers:
            replica.print("not ready")
            await asyncio.sleep(1)
        await it.caught_up()
        assert len(streams) == 1
        assert replica.streams == streams
        assert it.meter.counts["duplicates_suppressed_total", "logs"] == 0
        assert it.durable.counter() == Counter(it.platform.printed)
