"""A tap shows what is meant of what passes, keeps little, counts what it leaves out, and is gone when it is closed."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from shipper.buffer import FrameDraft
from shipper.control.taps import SLICE, Drafts, Tap, Taps, Wanted
from shipper.expression import Expression
from shipper.model import Kind, Partition


def record(**fields: object) -> bytes:
    return orjson.dumps(fields) + b"\n"


def drafts(*runs: bytes, kind: Kind = Kind.LOGS, app: str = "checkout") -> Drafts:
    records = sum(run.count(b"\n") for run in runs)
    return {Partition(kind, "acme", app, 1): FrameDraft(list(runs), 0, 0, records)}


def taken(tap: Tap) -> list[bytes]:
    found = []
    while (piece := tap.take()) is not None:
        found += tap.wanted.of(piece.ndjson)
    return found


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(frozenset({Kind.LOGS})), True),
        (Wanted(frozenset({Kind.EVENTS, Kind.GAPS})), False),
        (Wanted(app="checkout"), True),
        (Wanted(app="check*"), True),
        (Wanted(app="acme/checkout"), True),
        (Wanted(app="check"), False),
        (Wanted(app="other/*"), False),
    ],
)
def test_kinds_and_apps_are_chosen_by_partition(wanted: Wanted, fits: bool) -> None:
    assert wanted.takes(Partition(Kind.LOGS, "acme", "checkout", 1)) is fits


def test_replicas_and_texts_are_chosen_by_record() -> None:
    run = b"".join(
        [
            record(replica_id="a-1", line="GET /"),
            record(replica_id="a-2", line="a timeout"),
            record(replica_id="a-2", reason="BackOff", message="time out"),
            record(replica_id="b-1", detail="timeout"),
            record(line_base64="x"),
        ]
    )
    assert len(Wanted().of(run)) == 5
    assert len(Wanted(replica="a-2").of(run)) == 2
    assert len(Wanted(replica="a-*").of(run)) == 3
    assert len(Wanted(match=Expression("time ?out")).of(run)) == 3
    assert len(Wanted(replica="a-*", match=Expression("^a? ?time ?out$")).of(run)) == 2
    assert Wanted(match=Expression("replica_id")).of(run) == [], "names of fields are no text of the record"


@pytest.mark.parametrize("expression", ["a.c", r"^c$", r"a\sc", r"\Ac", r"(?s)b.c", "x*", r"c\n", "OOM|c$"])
def test_a_run_is_matched_at_once_as_each_text_would_be_alone(expression: str) -> None:
    texts = ["abc", "a", "c", "a\nc", "", "b\nc\n", "c a", "a c", "ü\U0001f600c"]
    records = [record(line=text) for text in texts]
    records += [record(line="a", reason="c"), record(reason="c", message="x", detail="OOM"), record(count=1)]
    alone = Expression(expression)
    assert Wanted(match=Expression(expression)).of(b"".join(records)) == [
        line[:-1]
        for line in records
        if any(alone.found_in(text) for text in orjson.loads(line).values() if isinstance(text, str))
    ]


def test_what_finds_no_room_is_left_out_and_counted_until_there_is_room_again() -> None:
    tap = Tap(Wanted(), most=1_000)
    run = record(line="x" * 90) * 4
    for _ in range(10):
        tap.offer(drafts(run))
    assert len(taken(tap)) == 8
    assert tap.left_out() == 32
    assert tap.left_out() == 0
    tap.offer(drafts(run))
    assert len(taken(tap)) == 4


def test_a_run_larger_than_the_room_passes_alone() -> None:
    tap = Tap(Wanted(), most=1_000)
    tap.offer(drafts(record(line="x" * 5_000)))
    tap.offer(drafts(record(line="y")))
    assert [len(line) > 5_000 for line in taken(tap)] == [True]
    assert tap.left_out() == 1


def test_a_large_run_is_taken_in_slices_of_whole_lines() -> None:
    tap = Tap(Wanted())
    lines = [record(line=f"{number} " + "x" * 200) for number in range(2_000)]
    tap.offer(drafts(b"".join(lines)))
    pieces = []
    while (piece := tap.take()) is not None:
        assert piece.ndjson.endswith(b"\n")
        assert len(piece.ndjson) <= SLICE + 300
        pieces.append(piece.ndjson)
    assert b"".join(pieces) == b"".join(lines)


def test_something_is_told_only_when_it_is_meant_for_the_tap() -> None:
    tap = Tap(Wanted(app="mail"))
    tap.offer(drafts(record(line="x")))
    assert not tap.something.is_set()
    tap.offer(drafts(record(line="x"), app="mail"))
    assert tap.something.is_set()
    taken(tap)
    assert not tap.something.is_set()


def test_commits_are_shown_only_while_somebody_taps() -> None:
    attached: list[Callable[[Drafts], None] | None] = []
    taps = Taps(attached.append)
    with taps.open(Wanted()) as one, taps.open(Wanted(app="mail")) as other:
        assert len(taps) == 2
        show = attached[-1]
        assert show is not None
        show(drafts(record(line="x")))
        assert (len(taken(one)), len(taken(other))) == (1, 0)
    assert len(taps) == 0
    assert attached[-1] is None
