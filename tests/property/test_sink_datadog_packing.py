"""Packing for Datadog never loses, reorders or exceeds a limit, whatever is packed and however it is cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.entry import Entry, Failure, Level
from shipper.sinks.datadog.body import Body, Destination, Limits, LogPacker
from shipper.sinks.datadog.cut import cut
from shipper.sinks.datadog.labels import Labels
from shipper.sinks.datadog.late import NEWEST_MS, OLDEST_MS
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.datadog.sink import DatadogSink
from tests.fakes.datadog import NOW_MS, event_entry, log_entry, partition_of

texts = st.text(st.characters(exclude_categories=()), max_size=30)
names = st.none() | texts
numbers = st.integers(-(2**63), 2**64 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
reserved = st.sampled_from(
    ["message", "msg", "timestamp", "status", "host", "dd.trace_id", "fields", "shipper"]
)
times = st.just(NOW_MS) | st.integers(NOW_MS - 2 * OLDEST_MS, NOW_MS + 2 * NEWEST_MS) | numbers
LABELS = Labels(source="ignite", service="{app}", hostname="{node}", tags=("env:prod",))
lengths = st.sampled_from([0, 0, 1, 300, 1000, 5000])  # characters, to reach the limits without drawing each
# No log is larger than its labels: these alone are at most some 1.5 KB with the names above.
limits = st.builds(Limits, st.integers(1, 7), st.integers(3000, 9000), st.integers(2500, 3000))


@st.composite
def logs(draw: st.DrawFn) -> Entry:
    text = draw(texts) * draw(st.sampled_from([1, 1, 1, 100])) + draw(texts) + "x" * draw(lengths)
    return log_entry(
        text,
        timestamp_ms=draw(times),
        record={
            "replica_id": draw(names),
            "app": draw(texts),
            "node_name": draw(names),
            "stream": draw(names),
        },
        level=draw(st.none() | st.sampled_from(Level)),
        fields=draw(st.none() | st.dictionaries(texts | reserved, values, max_size=4)),
        trace_id=draw(names),
        span_id=draw(names),
        execution_id=draw(names),
        lines=draw(st.integers(1, 5)),
        failure=draw(st.none() | st.just(Failure("go", "panic", "boom"))),
    )


def packer(limits: Limits, late: Any = "restamp") -> LogPacker:
    return LogPacker(LABELS, late, lambda: NOW_MS / 1000, limits)


def number(entry: Entry, index: int) -> Entry:
    """Mark an entry with its place, in an attribute that is kept when it is cut: its tags."""
    return replace(entry, record=entry.record | {"cluster_id": f"n{index}"})


def place(log: dict[str, Any]) -> int:
    (found,) = (tag for tag in log["ddtags"].split(",") if tag.startswith("cluster:n"))
    return int(found.removeprefix("cluster:n"))


@settings(max_examples=200, deadline=None)
@given(st.lists(logs(), max_size=12), st.sampled_from(["restamp", "drop"]), limits)
def test_packing_loses_nothing_keeps_the_order_and_stays_within_every_limit(
    drawn: list[Entry], late: str, limits: Limits
) -> None:
    entries = [number(entry, index) for index, entry in enumerate(drawn)]
    settled = dropped = 0
    arrived: list[int] = []
    for parcel in packer(limits, late).pack(partition_of(log_entry()), entries):
        assert parcel.start == settled
        assert parcel.stop == parcel.settles > settled
        settled = parcel.settles
        dropped += sum(parcel.dropped.values())
        if parcel.body is None:
            continue
        assert isinstance(parcel.body, Body)
        assert len(parcel.body.data) <= limits.most_bytes
        found = orjson.loads(parcel.body.data)
        assert 0 < len(found) <= limits.most_logs
        for log in found:
            assert len(orjson.dumps(log)) <= limits.largest_log
            assert isinstance(log["message"], str)
            assert NOW_MS - OLDEST_MS <= log["timestamp"] <= NOW_MS + NEWEST_MS
            assert parcel.start <= place(log) < parcel.stop
        arrived += [place(log) for log in found]
    assert settled == len(entries)
    assert arrived == sorted(set(arrived))
    assert sum(entries[index].lines for index in arrived) + dropped == sum(entry.lines for entry in entries)
    if late == "restamp":
        assert arrived == list(range(len(entries)))


@settings(max_examples=100, deadline=None)
@given(st.lists(logs(), min_size=1, max_size=8), limits, st.data())
def test_packing_from_any_entry_on_gives_the_same_logs(
    drawn: list[Entry], limits: Limits, data: st.DataObject
) -> None:
    """Delivery goes on anywhere after a failure, and packs halves of a request that was refused."""

    def of(entries: list[Entry]) -> list[Any]:
        parcels = packer(limits).pack(partition_of(log_entry()), entries)
        return [log for parcel in parcels for log in orjson.loads(parcel.body.data)]  # type: ignore[attr-defined]

    at = data.draw(st.integers(0, len(drawn)))
    assert of(drawn[:at]) + of(drawn[at:]) == of(drawn)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=6), st.integers(64, 400))
@example(["\\" * 63], 64)
@example(["\\u0000", "\x00", "日" * 40], 64)
def test_a_cut_text_is_a_beginning_of_the_whole_within_its_room(parts: list[str], room: int) -> None:
    whole = "".join(parts) * 3
    text, left_out = cut(whole, room)
    shown = whole.encode("utf-8", "replace").decode()
    assert len(orjson.dumps(text)) - 2 <= room
    if left_out == 0:
        assert text == shown
    else:
        kept = text[: text.rindex("… [cut by shipper: ")]
        assert shown.startswith(kept)
        assert len(kept.encode()) + left_out == len(shown.encode())
        assert len(orjson.dumps(shown)) - 2 > room


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(
            event_entry,
            texts,
            timestamp_ms=times,
            replica_id=names,
            reason=names,
            severity=names,
            kind=names | st.integers(0, 99),
            count=st.none() | numbers,
        ),
        max_size=5,
    ),
    st.sampled_from(["logs", "api", "both"]),
)
def test_events_are_settled_one_after_the_other_wherever_they_go(entries: list[Entry], events: str) -> None:
    sink = DatadogSink("dd", DatadogOptions("key", events=events), clock=lambda: NOW_MS / 1000)  # type: ignore[arg-type]
    parcels = list(sink.pack(partition_of(event_entry()), entries))
    settles = [parcel.settles for parcel in parcels]
    assert settles == sorted(settles)
    assert settles[-1:] == ([len(entries)] if entries else [])
    carried = {
        destination: [
            index
            for parcel in parcels
            if isinstance(parcel.body, Body) and parcel.body.destination is destination
            for index in range(parcel.start, parcel.stop)
        ]
        for destination in Destination
    }
    everything = list(range(len(entries)))
    assert carried[Destination.LOGS] == (everything if events != "api" else [])
    assert carried[Destination.EVENTS] == (everything if events != "logs" else [])
