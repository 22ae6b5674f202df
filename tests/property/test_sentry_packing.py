"""Packing never loses, reorders or exceeds a limit, and the header of rate limits is read whatever it says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.sinks.port import Parcel
from shipper.sinks.sentry.issues import IssueWriter
from shipper.sinks.sentry.limits import RateLimits, parse
from shipper.sinks.sentry.options import SentryOptions
from tests.fakes.sentry import LOGS, NOW_MS, event, gap, line, traceback
from tests.fakes.sentry_packer import DSN, Packing, containers_of, events_of, logs_of

TEXT = st.text(st.characters(codec=None), max_size=20)
BODY = TEXT | st.sampled_from((70_000, 300_000)).map(lambda size: "ä" * size)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FRAMES = st.builds(CodeFrame, TEXT, TEXT, st.integers(-(2**40), 2**40), TEXT)
FAILURE = st.builds(
    Failure, st.sampled_from(("python", "go", "?")), TEXT, TEXT, st.lists(FRAMES, max_size=3).map(tuple)
)
TIMES = st.integers(NOW_MS - 2, NOW_MS + 2) | st.integers(-(2**70), 2**70)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    made = draw(st.sampled_from((line(), event(), gap(), traceback())))
    changes = {
        "timestamp_ms": draw(TIMES),
        "text": draw(BODY),
        "level": draw(st.none() | st.sampled_from(Level)),
        "fields": draw(st.none() | st.dictionaries(TEXT, VALUE, max_size=4)),
        "trace_id": draw(st.none() | TEXT | st.uuids().map(str)),
        "failure": draw(st.none() | FAILURE),
        "marks": draw(st.sampled_from((LOGS, frozenset()))),
        "lines": draw(st.integers(1, 5)),
        "before": draw(st.just(()) | st.lists(st.tuples(TIMES, TEXT), max_size=3).map(tuple)),
    }
    record = {
        **made.record,
        "replica_id": draw(TEXT),
        "app": draw(TEXT),
        "reason": draw(TEXT | st.just("OOMKilled")),
    }
    return replace(made, record=record, **changes)


def tally(parcels: list[Parcel], what: str) -> Counter[str]:
    return sum((Counter(getattr(parcel, what)) for parcel in parcels), Counter())


@given(st.lists(entries(), max_size=15), st.integers(1, 3))
def test_every_record_is_in_a_parcel_or_counted_and_every_rule_of_the_format_holds(
    records: list[Entry], per_hour: int
) -> None:
    parcels = Packing(SentryOptions(DSN, issues_per_hour=per_hour)).pack(records, oldest_ms=NOW_MS - 1)
    containers_of(parcels), events_of(parcels)  # the strict reader raises for a broken rule
    young = [entry for entry in records if entry.timestamp_ms >= NOW_MS - 1]
    wanted = [entry for entry in young if entry.marks]
    assert len(logs_of(parcels)) == len(wanted)
    settled = [parcel.settles for parcel in parcels]
    assert settled == sorted(settled)
    assert not records or settled[-1] == len(records)
    settling = [parcel for parcel in parcels if parcel.settles]
    covered = [index for parcel in settling for index in range(parcel.start, parcel.stop)]
    assert covered == list(range(len(records)))
    dropped = tally(parcels, "dropped")
    find = IssueWriter(SentryOptions(DSN)).find
    quiet = [entry for entry in young if not entry.marks and find(entry) is None]
    assert dropped["no_failure"] == sum(entry.lines for entry in quiet)
    assert dropped["too_old"] == sum(entry.lines for entry in records if entry.timestamp_ms < NOW_MS - 1)
    assert dropped.total() <= sum(entry.lines for entry in records if entry not in wanted)


@given(st.lists(entries(), max_size=8), st.data())
def test_packing_the_rest_again_sends_the_rest_alone(records: list[Entry], data: st.DataObject) -> None:
    whole = Packing().pack(records)
    settled = data.draw(st.sampled_from([0, *(parcel.settles for parcel in whole)]))
    rest = Packing().pack(records[settled:])
    sent = [log["body"] for log in logs_of([parcel for parcel in whole if parcel.settles <= settled])]
    assert sent + [log["body"] for log in logs_of(rest)] == [log["body"] for log in logs_of(whole)]


@given(st.lists(st.integers(1, 300_000), max_size=60))
def test_halves_of_a_parcel_are_smaller_parcels_of_the_same_logs(sizes: list[int]) -> None:
    records = [line("x" * size) for size in sizes]
    packing = Packing()
    for parcel in packing.pack(records):
        middle = (parcel.start + parcel.stop) // 2
        halves = [packing.pack(records[parcel.start : middle]), packing.pack(records[middle : parcel.stop])]
        bodies = [orjson.dumps(log["body"]) for half in halves for log in logs_of(half)]
        assert bodies == [orjson.dumps(log["body"]) for log in logs_of([parcel])]


@given(st.text(alphabet="0123456789.:;, -eErorlgitm_naif\t", max_size=200))
def test_a_header_of_rate_limits_is_read_whatever_it_says(header: str) -> None:
    for limit in parse(header):
        assert 0 <= limit.seconds <= 40 * 86_400
        assert limit.categories
    limits = RateLimits()
    limits.learn(429, {"X-Sentry-Rate-Limits": header, "Retry-After": header}, ("error",), 0.0)
    assert limits.wait_s(("error",), 0.0) >= 0


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from(("error", "log_item", "default", "span", ""))),
        max_size=20,
    )
)
def test_the_longest_limit_of_a_category_stands_in_whatever_order_they_come(
    told: list[tuple[int, str]],
) -> None:
    limits = RateLimits()
    for seconds, category in told:
        limits.learn(200, {"X-Sentry-Rate-Limits": f"{seconds}:{category}:key"}, ("error",), 0.0)
    assert limits.wait_s(("error",), 0.0) == max(
        (seconds for seconds, category in told if category in ("error", "")), default=0
    )
