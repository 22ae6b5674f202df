"""A parcel that its sink does not wait for is done with, counted, and neither sent again nor called delivered."""

from __future__ import annotations

from shipper.sinks.port import Delivered, Dropped
from tests.fakes.delivery import record_house
from tests.fakes.outbox import lines
from tests.fakes.record_sink import FakeRecordSink
from tests.virtual_time import virtual_time


@virtual_time
async def test_what_a_rate_limit_drops_is_counted_and_the_rest_is_delivered() -> None:
    dropped = Dropped("no logs for a day", {"rate_limited": 3}, {"rate_limited": 1})
    async with record_house(FakeRecordSink(concurrency=1, script=[Delivered(), dropped])) as it:
        await it.outbox.commit([lines(*(f"line {number}" for number in range(12)))])
        await it.until_delivered(1)
        assert [texts[0] for texts in it.sink.accepted] == ["line 0", "line 8"]
        assert it.delivered() == 9
        assert it.meter.counts["records_dropped_total", "logs", "rate_limited"] == 3
        assert it.meter.counts["records_altered_total", "logs", "rate_limited"] == 1
        assert it.meter.counts["sink_requests_total", "logs", "dropped"] == 1


@virtual_time
async def test_a_batch_of_which_everything_is_dropped_leaves_the_buffer() -> None:
    async with record_house(FakeRecordSink(script=[Dropped("limited", {"rate_limited": 2})])) as it:
        await it.outbox.commit([lines("a", "b")])
        await it.until_delivered(1)
        assert it.delivered() == 0
        assert it.outbox.letters == []
