"""Halving finds exactly what is bad within bounded requests; whatever the answers, no record is lost or passed over."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.archive.codec import compress
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.doubt import cuts
from shipper.deliver.limits import Limits
from shipper.deliver.parcels import Parcels, Piece
from shipper.deliver.slices import slices
from shipper.deliver.worker import Worker
from shipper.entry import Entry
from shipper.model import Codec, Kind, Partition
from shipper.sinks.port import Answer, Delivered, Malformed, Parcel, Parked, Retry, TooLarge
from tests.fakes.delivery import half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.virtual_time import virtual_time

SHOP = Partition(Kind.LOGS, "acme", "shop", 0)
DRAWS = st.floats(0, 1, exclude_max=True)


def entry(number: int) -> Entry:
    return Entry({}, Kind.LOGS, 0, str(number))


@given(st.integers(2, 2000), st.booleans(), DRAWS)
def test_the_parts_of_a_refused_parcel_are_smaller_and_are_all_of_it(
    entries: int, suspicious: bool, draw: float
) -> None:
    parts = cuts(entries, suspicious=suspicious, draw=lambda: draw)
    assert [number for start, stop in parts for number in range(start, stop)] == list(range(entries))
    assert all(0 < stop - start < entries for start, stop in parts)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))),
    st.integers(1, 50),
    st.randoms(use_true_random=False),
)
def test_halving_finds_exactly_the_bad_entries_whatever_the_order_of_answers(
    case: tuple[int, set[int]], most: int, order: object
) -> None:
    """Between one and two requests for each level of halving and bad entry."""
    count, bad = case
    sink = FakeRecordSink(most=most)
    entries = [entry(number) for number in range(count)]
    parcels = Parcels()
    for parcel in sink.pack(SHOP, entries):
        parcels.add(0, entries, parcel)
    fine: list[int] = []
    refused: list[int] = []
    requests = settled = 0
    under_way: list[Piece] = []
    while True:
        while len(under_way) < 3 and (piece := parcels.take()) is not None:
            under_way.append(piece)
        if not under_way:
            break
        piece = under_way.pop(order.randrange(len(under_way)))  # type: ignore[attr-defined]
        requests += 1
        numbers = [int(one.text) for one in piece.entries]
        if not bad.intersection(numbers):
            fine += numbers
            parcels.delivered(piece)
        elif len(numbers) == 1:
            parcels.refused(piece, "400", 0, certain=True)
        else:
            parts = cuts(len(numbers), suspicious=False, draw=half)
            parcels.split(
                piece,
                [(a, piece.entries[a:b], list(sink.pack(SHOP, piece.entries[a:b]))) for a, b in parts],
            )
        step = parcels.advance(1)
        refused += [int(one.entry.text) for one in step.refused]
        settled += step.records + len(step.refused)
        assert settled == parcels.settled
        assert set(range(parcels.settled)) <= {*fine, *refused}
    assert sorted(fine) == sorted(set(range(count)) - bad)
    assert refused == sorted(bad)
    assert parcels.settled == count
    size = min(most, count)
    assert requests <= math.ceil(count / most) + 2 * len(bad) * math.ceil(math.log2(max(size, 2)))


@given(
    st.lists(
        st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b" ")), max_size=8), max_size=8
    ),
    st.integers(1, 100),
    st.sampled_from(list(Codec)),
    st.booleans(),
)
def test_slices_are_the_whole_lines_of_the_frames_in_order(
    frames: list[list[bytes]], size: int, codec: Codec, ended: bool
) -> None:
    raw = [b"\n".join(one) + (b"\n" if ended and one else b"") for one in frames]
    cut = list(slices(codec, [compress(codec, data) for data in raw], size))
    assert all(piece.endswith(b"\n") for piece in cut)
    assert b"".join(cut) == b"".join(
        data if data.endswith(b"\n") or not data else data + b"\n" for data in raw
    )
    longest = max((len(line) + 1 for data in raw for line in data.split(b"\n")), default=0)
    assert all(size - longest < len(piece) < 2 * size + longest for piece in cut[:-1])
    assert cut == list(slices(codec, [compress(codec, data) for data in raw], size))


# ---- the whole worker ----

POLICY = BatchPolicy(max_age_s=2.0, max_size=100_000)
ANSWERS: st.SearchStrategy[Answer] = st.sampled_from(
    [
        Delivered(),
        Delivered(),
        Retry("503"),
        Retry("429", 7.0),
        Parked("403"),
        TooLarge("413"),
        Malformed("400"),
    ]
)
LINE = st.sampled_from(["plain", "plain", "plain", "bad", "drop", "trace", "+ more", "unwanted", "count"])


@settings(max_examples=100, deadline=None)
@given(
    commits=st.lists(
        st.tuples(st.lists(st.tuples(st.sampled_from("ab"), LINE), max_size=25), st.floats(0, 8)),
        min_size=1,
        max_size=6,
    ),
    script=st.lists(ANSWERS, max_size=20),
    concurrency=st.integers(1, 3),
    most=st.integers(1, 9),
    refusals=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 4)), max_size=2),
    restarts=st.lists(st.floats(0.5, 40), max_size=3),
)
@example(
    commits=[([("a", "trace"), ("a", "+ more")], 1.0), ([("a", "+ more")], 0.0)],
    script=[Retry("503")],
    concurrency=1,
    most=1,
    refusals=[],
    restarts=[3.5],
)
def test_every_record_is_delivered_buried_or_counted_as_dropped_over_failures_and_restarts(
    commits: Sequence[tuple[list[tuple[str, str]], float]],
    script: list[Answer],
    concurrency: int,
    most: int,
    refusals: list[tuple[float, int]],
    restarts: list[float],
) -> None:
    def judge(texts: Texts) -> Answer:
        return Malformed("bad") if any(" bad" in text for text in texts) else Delivered()

    @virtual_time
    async def body() -> None:
        outbox = FakeOutbox(["logs"], wall)
        sink = FakeRecordSink(concurrency=concurrency, most=most, script=list(script), judge=judge)
        loop = asyncio.get_running_loop()
        for at, times in refusals:
            loop.call_later(at, setattr, outbox, "refusals", times)
        committed: list[str] = []
        running: list[asyncio.Task[None]] = []

        async def begin(group: asyncio.TaskGroup) -> None:
            for task in running:
                task.cancel()
            worker = Worker(
                sink,
                outbox,
                POLICY,
                FakeMeter(),
                pipeline=FakePipeline(),
                clock=wall,
                draw=half,
                limits=Limits(levels_s=1e9),
            )
            running.append(group.create_task(worker.run(), name="worker"))

        async with asyncio.TaskGroup() as group:
            await begin(group)
            pauses = list(restarts)
            for records, pause in commits:
                texts = {app: [] for app in "ab"}  # type: dict[str, list[str]]
                for app, text in records:
                    # `+` and the like come first in a line: they say what it is.
                    texts[app].append(f"{text} {text} {len(committed)}")
                    committed.append(texts[app][-1])
                await outbox.commit([lines(*some, app=app) for app, some in texts.items() if some])
                await asyncio.sleep(pause)
                if pauses:
                    await asyncio.sleep(pauses.pop())
                    await begin(group)
            # Others are what settles a doubt.
            for number in range(25):
                await outbox.commit([lines(f"later {number}", app="c")])
                await asyncio.sleep(100)
            for task in running:
                task.cancel()
        assert outbox.stats().backlog_records["logs"] <= 1
        _nothing_is_missing(sink, outbox, committed)
        if not restarts:
            assert max(sink.counts.values(), default=0) <= 1, "only a restart sends anything twice"

    body()


def _nothing_is_missing(sink: FakeRecordSink, outbox: FakeOutbox, committed: list[str]) -> None:
    taken = Counter(text for whole in sink.texts for text in whole.split("\n"))
    letters = Counter(
        text for letter in outbox.letters for text in json.loads(letter.record)["line"].split("\n")
    )
    for text in committed:
        if text.startswith(("drop", "unwanted")):
            assert not taken[text]
            assert not letters[text]
        else:
            assert taken[text] + letters[text] >= 1
    assert sink.violations == []


def test_a_parcel_says_what_it_settles_even_where_records_become_parcels_of_two_sorts() -> None:
    """As where logs go out as logs and their failures as issues: the logs come first and settle nothing."""
    entries = [entry(number) for number in range(4)]
    parcels = Parcels()
    parcels.add(0, entries, Parcel(0, 4, 0, "logs", sort="logs"))
    for number in range(4):
        parcels.add(0, entries, Parcel(number, number + 1, number + 1, f"issue {number}", sort="issues"))
    logs, *issues = [parcels.take() for _ in range(5)]
    assert logs is not None
    for issue in issues[:2]:
        assert issue is not None
        parcels.delivered(issue)
    assert parcels.advance(2).records == 0, "the logs are not there yet"
    halves = [(at, entries[at : at + 2], [Parcel(0, 2, 0, "logs", sort="logs")]) for at in (0, 2)]
    parcels.split(logs, halves)
    first = parcels.take()
    assert first is not None
    parcels.delivered(first)
    assert parcels.advance(3).records == 0
    second = parcels.take()
    assert second is not None
    parcels.delivered(second)
    assert parcels.advance(4).records == 2
    assert parcels.settled == 2
