"""Joining is a fold: the cuts do not show, nothing is lost or overtaken, and no bound is passed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.entry import Entry
from shipper.transform.joining import Joiner, JoinLimits
from tests.log_entries import entry_of

TRACES: Final = Path(__file__).parents[1] / "traces"
FILES: Final = sorted(path for path in TRACES.glob("*.txt") if path.stat().st_size < 2_000)
PIECES: Final = sorted({line for path in FILES for line in path.read_text().splitlines()})
ORDINARY: Final = (
    "going on",
    "",
    "2026-11-24 10:00:00 INFO fine",
    '{"level":"info"}',
    "  indented",
    "\tat noon",
    "é\x01",
)
LIMITS: Final = st.builds(
    JoinLimits,
    max_lines=st.integers(2, 12) | st.just(1_000),
    max_bytes=st.integers(300, 2_000) | st.just(128 << 10),
    max_wait_ms=st.sampled_from([10, 2_000]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Entry]:
    """Lines of some streams, mixed: whole traces, pieces of traces, other text; times mostly go forward."""
    queues: list[list[str]] = []
    for _ in range(draw(st.integers(1, 3))):
        parts = draw(
            st.lists(
                st.sampled_from(FILES).map(lambda path: path.read_text().splitlines())
                | st.lists(st.sampled_from(PIECES), max_size=5)
                | st.lists(st.sampled_from(ORDINARY), max_size=3),
                max_size=4,
            )
        )
        queues.append([line for part in parts for line in part])
    entries: list[Entry] = []
    at_ms = 1_000
    while any(queues):
        index = draw(st.sampled_from([index for index, queue in enumerate(queues) if queue]))
        run = draw(st.integers(1, 10))
        for line in queues[index][:run]:
            at_ms += draw(st.sampled_from([0, 0, 0, 1, 15, -1, 3_000]))
            entries.append(entry_of(line, at_ms, f"r-{index // 2}", ("stdout", "stderr")[index % 2]))
        del queues[index][:run]
    return entries


def cut(entries: list[Entry], cuts: list[int], limits: JoinLimits) -> list[Entry]:
    """Joined in several calls, with a stored state between them."""
    out: list[Entry] = []
    state = b""
    for begin, end in zip([0, *cuts], [*cuts, len(entries)], strict=True):
        joiner = Joiner.resume(state, limits)
        out += joiner.feed(entries[begin:end])
        assert joiner.held + sum(entry.lines for entry in out) == end
        state = joiner.state()
        assert len(state) < 256 << 10
    return out + Joiner.resume(state, limits).flush()


@settings(max_examples=150, deadline=None)
@given(entries=streams(), limits=LIMITS, data=st.data())
def test_cuts_and_stored_states_do_not_show(
    entries: list[Entry], limits: JoinLimits, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=6)))
    whole = Joiner(limits)
    expected = whole.feed(entries) + whole.flush()
    assert cut(entries, cuts, limits) == expected
    assert cut(entries, list(range(1, len(entries))), limits) == expected


@settings(max_examples=150, deadline=None)
@given(entries=streams(), limits=LIMITS)
def test_no_line_is_lost_changed_or_overtaken_in_its_stream(entries: list[Entry], limits: JoinLimits) -> None:
    joiner = Joiner(limits)
    out = joiner.feed(entries) + joiner.flush()
    printed: dict[tuple[str, str], list[str]] = defaultdict(list)
    arrived: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        printed[entry.record["replica_id"], entry.record["stream"]].append(entry.text)
    for entry in out:
        lines = entry.text.split("\n")
        assert len(lines) == entry.lines
        assert entry.record["line"] == entry.text
        arrived[entry.record["replica_id"], entry.record["stream"]] += lines
    assert arrived == printed


@settings(max_examples=150, deadline=None)
@given(entries=streams(), limits=LIMITS)
def test_no_joined_entry_passes_its_bounds(entries: list[Entry], limits: JoinLimits) -> None:
    joiner = Joiner(limits)
    for entry in joiner.feed(entries) + joiner.flush():
        if entry.lines > 1:
            assert entry.lines <= limits.max_lines
            assert len(entry.text.encode()) <= limits.max_bytes
        if entry.failure is not None:
            assert len(entry.failure.frames) <= 64
            assert len(entry.failure.message) <= 2_000


@settings(max_examples=100, deadline=None)
@given(entries=streams(), limits=LIMITS)
def test_entries_that_are_not_joined_are_the_very_ones_that_came(
    entries: list[Entry], limits: JoinLimits
) -> None:
    joiner = Joiner(limits)
    came = {id(entry) for entry in entries}
    out = joiner.feed(entries) + joiner.flush()
    assert all(id(entry) in came for entry in out if entry.lines == 1 and entry.failure is None)
