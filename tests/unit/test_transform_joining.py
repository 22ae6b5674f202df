"""What joining does with lines around, between and beyond traces."""

from __future__ import annotations

import time

import pytest

from shipper.config.joining import JoinSettings
from shipper.entry import Entry
from shipper.model import Kind
from shipper.transform.joining import MAX_BYTES, MAX_STATE, Joiner, JoinLimits
from tests.log_entries import entries_of, entry_of

TRACE = [
    "Traceback (most recent call last):",
    '  File "/app/orders.py", line 7, in take',
    '    raise LookupError("no items")',
    "LookupError: no items",
]
JAVA = [
    "java.lang.IllegalStateException: no items",
    "\tat com.acme.Shop.take(Shop.java:7)",
    "\tat com.acme.Shop.main(Shop.java:3)",
]


def joined(entries: list[Entry], limits: JoinLimits | None = None) -> list[Entry]:
    joiner = Joiner(limits or JoinLimits())
    return joiner.feed(entries) + joiner.flush()


def texts(entries: list[Entry]) -> list[str]:
    return [entry.text for entry in entries]


# ---- what comes out ----


def test_lines_without_a_trace_are_the_same_objects_in_the_same_order() -> None:
    entries = entries_of(["one", "two", "", "ERROR something", '{"level":"error","message":"SomeError: x"}'])
    assert all(one is other for one, other in zip(joined(entries), entries, strict=True))


def test_a_joined_entry_is_the_first_line_s_record_with_all_lines() -> None:
    entries = [entry_of(line, 1_000 + at) for at, line in enumerate(TRACE)]
    (entry,) = joined(entries)
    text = "\n".join(TRACE)
    assert entry.text == text
    assert entry.record == {**entries[0].record, "line": text}
    assert (entry.timestamp_ms, entry.lines, entry.kind) == (1_000, 4, Kind.LOGS)
    assert entries[0].record["line"] == TRACE[0]


def test_a_line_that_is_not_unicode_is_joined_as_it_is_shown() -> None:
    entries = entries_of(TRACE)
    exact = b"LookupError: \xff"
    entries[-1] = entry_of("LookupError: �")
    entries[-1].record["line"] = exact
    joiner = Joiner(JoinLimits())
    assert joiner.feed(entries) == []
    resumed = Joiner.resume(joiner.state(), JoinLimits())
    (entry,) = resumed.flush()
    assert entry.text == entry.record["line"] == "\n".join([*TRACE[:-1], "LookupError: �"])


@pytest.mark.parametrize(
    "line",
    [
        "Error: cannot reach the store",
        "com.acme.Shop: ready",
        "StoreCheck: fine",
        "Exception in thread handling",
        "panic: none of it",
        "goroutine 7 [running]:",
        "/app/main.js:7",
        "Traceback (most recent call last):",
        '  File "/app/x.py", line 3',
        "Fatal Python error: none",
        "fatal error: none",
    ],
)
def test_what_only_looks_like_a_beginning_comes_out_as_it_was(line: str) -> None:
    entries = entries_of(["before", line, "after", "and more"])
    assert all(one is other for one, other in zip(joined(entries), entries, strict=True))


def test_the_next_line_of_a_program_is_no_part_of_its_trace() -> None:
    for after in (
        "going on",
        "2026-11-24 10:00:00 INFO going on",
        "INFO: going on",
        '{"level":"info"}',
        "ok",
    ):
        out = joined(entries_of([*TRACE, after, "and on"]))
        assert [entry.lines for entry in out] == [4, 1, 1], after


def test_two_traces_one_after_the_other_are_two_entries() -> None:
    out = joined(entries_of([*TRACE, *JAVA, *TRACE, *TRACE, *JAVA]))
    assert [entry.lines for entry in out] == [4, 3, 4, 4, 3]


def test_a_beginning_before_the_beginning_stays_single() -> None:
    out = joined(entries_of(["2026-11-24 10:00:00 ERROR request failed: SomeError: x", *JAVA]))
    assert [entry.lines for entry in out] == [1, 3]


def test_streams_and_replicas_have_traces_of_their_own() -> None:
    entries = [
        entry
        for at, lines in enumerate(zip(TRACE, [*JAVA, "going on"], TRACE, strict=True))
        for entry in (
            entry_of(lines[0], at, "r-1", "stderr"),
            entry_of(lines[1], at, "r-1", "stdout"),
            entry_of(lines[2], at, "r-2", "stderr"),
        )
    ]
    out = joined(entries)
    said = [(entry.record["replica_id"], entry.record["stream"], entry.lines) for entry in out]
    assert sorted(said) == [
        ("r-1", "stderr", 4),
        ("r-1", "stdout", 1),
        ("r-1", "stdout", 3),
        ("r-2", "stderr", 4),
    ]


def test_entries_of_other_kinds_pass() -> None:
    events = [Entry({"message": line}, Kind.EVENTS, 1, line) for line in TRACE]
    joiner = Joiner(JoinLimits())
    assert joiner.feed(events) == events
    assert joiner.held == 0


# ---- when a trace is over ----


def test_a_line_after_too_long_a_time_is_no_part() -> None:
    limits = JoinLimits(max_wait_ms=2_000)
    entries = [entry_of(line, 1_000) for line in JAVA[:2]] + [entry_of(JAVA[2], 3_001)]
    assert [entry.lines for entry in joined(entries, limits)] == [2, 1]
    entries[2] = entry_of(JAVA[2], 3_000)
    assert [entry.lines for entry in joined(entries, limits)] == [3]


def test_the_last_trace_of_a_replica_comes_out_beside_others_that_go_on() -> None:
    limits = JoinLimits(max_wait_ms=1_000)
    joiner = Joiner(limits)
    out = joiner.feed(entries_of(TRACE, 10_000))
    assert (out, joiner.held) == ([], 4)
    out = joiner.feed([entry_of("other", 10_000 + 100 * at, "r-2") for at in range(30)])
    assert sum(entry.lines == 4 for entry in out) == 1
    assert joiner.held == 0


def test_the_last_trace_comes_out_even_where_times_stand_still() -> None:
    joiner = Joiner(JoinLimits())
    joiner.feed(entries_of(TRACE))
    out = [entry for _ in range(25) for entry in joiner.feed([entry_of("other", 1_000, "r-2")] * 1_000)]
    assert sum(entry.failure is not None for entry in out) == 1
    assert len(out) == 25_001


def test_a_trace_that_others_have_overtaken_goes_on_as_one_more_entry_without_a_failure() -> None:
    joiner = Joiner(JoinLimits(max_wait_ms=1_000))
    out = joiner.feed(entries_of(JAVA[:2], 10_000))
    out += joiner.feed([entry_of("other", 15_000, "r-2")])
    out += joiner.feed(
        [entry_of(line, 10_100) for line in ["\tat a.B.c(B.java:1)", "\tat a.B.d(B.java:2)", "end"]]
    )
    assert [(entry.text[:4], entry.lines, entry.failure is None) for entry in out] == [
        ("java", 2, False),
        ("othe", 1, True),
        ("\tat ", 2, True),
        ("end", 1, True),
    ]


def test_what_may_have_begun_a_trace_does_not_wait_for_ever_either() -> None:
    joiner = Joiner(JoinLimits(max_wait_ms=1_000))
    first = entry_of("SomeError: x", 10_000)
    assert joiner.feed([first]) == []
    out = joiner.feed([entry_of("other", 12_001, "r-2")])
    assert out[0] is first
    assert joiner.state() == b""


# ---- bounds ----


def test_a_trace_longer_than_an_entry_may_be_becomes_several_and_one_says_what_failed() -> None:
    calls = [f"\tat com.acme.Shop.down(Shop.java:{at})" for at in range(2_500)]
    out = joined(entries_of([JAVA[0], *calls, "end"]), JoinLimits(max_lines=1_000))
    assert [entry.lines for entry in out] == [1_000, 1_000, 501, 1]
    assert [entry.failure is not None for entry in out] == [True, False, False, False]


def test_a_traceback_that_says_what_failed_at_its_end_says_so_in_its_last_entry() -> None:
    calls = [
        line for at in range(1_000) for line in (f'  File "/app/x.py", line {at}, in down', "    down()")
    ]
    out = joined(entries_of([TRACE[0], *calls, "RecursionError: too deep"]), JoinLimits(max_lines=900))
    assert [entry.lines for entry in out] == [900, 900, 202]
    assert [entry.failure.type if entry.failure else None for entry in out] == [None, None, "RecursionError"]


def test_an_entry_never_takes_more_bytes_than_it_may() -> None:
    limits = JoinLimits(max_bytes=4_096)
    calls = [f"\tat com.acme.Shop.down(Shop.java:{at}) {'x' * 200}" for at in range(300)]
    out = joined(entries_of([JAVA[0], *calls]), limits)
    assert sum(entry.lines for entry in out) == 301
    assert all(len(entry.text.encode()) <= 4_096 for entry in out)
    assert "\n".join(texts(out)) == "\n".join([JAVA[0], *calls])


def test_a_line_larger_than_an_entry_may_be_stays_single_and_the_trace_goes_on_behind_it() -> None:
    large = "\tat " + "x" * (2 * MAX_BYTES)
    out = joined(entries_of([*JAVA, large, JAVA[1], "end"]))
    assert [entry.lines for entry in out] == [3, 1, 1, 1]
    assert out[1].text == large


def test_a_line_of_ten_mebibytes_costs_little_and_is_never_held() -> None:
    for line in (
        "x" * (10 << 20),
        "Error: " * (1 << 20),
        "a." * (5 << 20),
        "thread '" * (1 << 20),
        "at " * (3 << 20),
    ):
        joiner = Joiner(JoinLimits())
        began = time.process_time()
        out = joiner.feed(entries_of([*TRACE, line]))
        assert out[-1].text == line
        assert joiner.held == 0
        assert time.process_time() - began < 5  # milliseconds each; generous, for slow machines


def test_a_million_lines_that_go_on_are_all_there_in_bounded_memory() -> None:
    joiner = Joiner(JoinLimits())
    lines = most = 0
    joiner.feed(entries_of(JAVA))
    call = entry_of("\tat com.acme.Shop.down(Shop.java:7)")
    for _ in range(100):
        lines += sum(entry.lines for entry in joiner.feed([call] * 1_000))
        most = max(most, joiner.held)
    lines += sum(entry.lines for entry in joiner.flush())
    assert lines == 100_003
    assert most <= 1_000


def test_beginnings_in_very_many_streams_stay_within_the_stored_state() -> None:
    joiner = Joiner(JoinLimits())
    lines = 0
    for at in range(5_000):
        out = joiner.feed(entries_of(JAVA, replica=f"replica-{at}"))
        lines += sum(entry.lines for entry in out)
        assert all(entry.failure is not None for entry in out)
    assert len(joiner.state()) <= MAX_STATE
    assert lines + sum(entry.lines for entry in joiner.flush()) == 15_000


def test_text_that_grows_when_it_is_stored_stays_within_the_stored_state() -> None:
    joiner = Joiner(JoinLimits())
    call = "\tat com.acme.Shop.down(Shop.java:7) " + "\x01" * 500
    for at in range(400):
        joiner.feed(entries_of([JAVA[0], call, call], replica=f"\x02{at}"))
        assert len(joiner.state()) < 256 << 10


# ---- stored state ----


@pytest.mark.parametrize(
    "state",
    [
        b"garbage",
        b"null",
        b"[]",
        b"[1]",
        b'{"version":1}',
        b"[9,0,0,[]]",
        b'[1,0,0,[["r","s","cobol","head",1,1,1,0,false,[]]]]',
        b'[1,0,0,[["r","s","python","head",1,1,1,5,false,["{"line":"x","timestamp_ms":1}\n"]]]]',
        b'[1,0,0,[["r","s","python","head",1,1,1,0,false,[[1,"x"]]]]]',
        b'[1,0,0,[["r","s","python","head",1,1,1,0,false,["not a record"]]]]',
        b'[1,0,0,[["r","s","python","head",1,1,1,0,false,["{"line":"x","timestamp_ms":1}\n",["a",1]]]]]',
        b'[1,0,0,[["r","s","python","head",1,1,1,0,false,7]]]',
        b'[1,0,0,[["r","s","python","head","x",1,1,0,false,[]]]]',
        b'[1,0,0,[["r","s",["python"],"head",1,1,1,0,false,[]]]]',
        b'[1,"a",0,[]]',
        b"[1,0,0,7]",
        b"\xff\xfe",
    ],
)
def test_a_state_that_cannot_be_read_counts_as_empty(state: bytes) -> None:
    joiner = Joiner.resume(state, JoinLimits())
    assert joiner.held == 0
    out = joiner.feed(entries_of([*JAVA, "end"]))
    assert [entry.lines for entry in out] == [3, 1]


def test_a_phase_that_nobody_knows_ends_the_trace() -> None:
    state = b'[1,5,0,[["r-1","stderr","go","later",1000,5,0,0,false,[]]]]'
    out = Joiner.resume(state, JoinLimits()).feed(entries_of(["one", "two"]))
    assert texts(out) == ["one", "two"]


def test_nothing_held_is_an_empty_state() -> None:
    joiner = Joiner(JoinLimits())
    joiner.feed(entries_of([*JAVA, "end"]))
    assert (joiner.held, joiner.state()) == (0, b"")
    joiner.feed(entries_of(TRACE))
    joiner.flush()
    assert (joiner.held, joiner.state()) == (0, b"")


def test_a_state_of_looser_limits_is_taken_over() -> None:
    joiner = Joiner(JoinLimits(max_lines=1_000))
    joiner.feed(entries_of([JAVA[0], *JAVA[1:] * 50]))
    resumed = Joiner.resume(joiner.state(), JoinLimits(max_lines=10))
    assert resumed.held == 101
    assert sum(entry.lines for entry in resumed.feed(entries_of([JAVA[1], "end"]))) == 103


def test_limits_are_those_of_the_settings() -> None:
    limits = JoinLimits.of(JoinSettings.model_validate({"max_lines": 50, "max_wait": "500ms"}))
    assert limits == JoinLimits(max_lines=50, max_wait_ms=500)
    assert limits.hold_s == 1.5
