"""The history of a container: what a replay brings, what an open reader still brings, and what is lost."""

from __future__ import annotations

import asyncio

from shipper.emulator.history import Container, Source
from shipper.emulator.ledger import Ledger, Printed
from shipper.emulator.scenario import ReplayOrder


def line(text: str, ts: int = 0) -> Printed:
    return Printed("app", "pod", ts, "stdout", text)


def container(
    ledger: Ledger | None = None, limit: int = 100, order: ReplayOrder = ReplayOrder.TIME
) -> Container:
    return Container(0, ledger or Ledger(), limit, order)


def drain(source: Source[Printed], limit: int = 1000) -> list[str]:
    texts: list[str] = []
    while batch := source.peek(limit):
        texts += [str(each.line) for each in batch]
        source.advance(len(batch))
    return texts


def test_a_replay_is_sorted_by_time_and_the_tail_comes_as_it_arrives() -> None:
    history = container()
    for text, ts in (("b", 20), ("late", 10), ("twin", 20), ("twin", 20)):
        history.append(line(text, ts))
    reader = history.reader(asyncio.Event(), from_start=True)
    history.append(line("d", 40))
    history.append(line("c, late again", 30))
    assert drain(reader, limit=3) == ["late", "b", "twin", "twin", "d", "c, late again"]


def test_a_replay_in_order_of_arrival_leaves_late_lines_where_they_came() -> None:
    history = container(order=ReplayOrder.ARRIVAL)
    history.append(line("b", 20))
    history.append(line("late", 10))
    assert drain(history.reader(asyncio.Event(), from_start=True)) == ["b", "late"]


def test_without_replay_a_reader_begins_with_the_next_line() -> None:
    history = container()
    history.append(line("before"))
    reader = history.reader(asyncio.Event(), from_start=False)
    history.append(line("after"))
    assert drain(reader) == ["after"]


def test_a_reader_is_woken_by_every_line_and_by_the_end() -> None:
    bell = asyncio.Event()
    history = container()
    reader = history.reader(bell, from_start=True)
    history.append(line("x"))
    assert bell.is_set()
    assert not reader.finished
    bell.clear()
    history.finish()
    assert bell.is_set()
    assert not reader.finished, "one line is still to be sent"
    assert drain(reader) == ["x"]
    assert reader.finished


def test_what_was_peeked_but_not_sent_comes_again() -> None:
    history = container()
    for text in "abc":
        history.append(line(text))
    reader = history.reader(asyncio.Event(), from_start=True)
    reader.peek(3)
    reader.advance(1)
    assert drain(reader) == ["b", "c"]


def test_rotation_cuts_replays_but_not_readers_that_are_open() -> None:
    history = container()
    for text in "abcd":
        history.append(line(text))
    reader = history.reader(asyncio.Event(), from_start=True)
    history.rotate(keep=1)
    assert drain(history.reader(asyncio.Event(), from_start=True)) == ["d"]
    assert drain(reader) == ["a", "b", "c", "d"]


def test_the_history_is_bounded_to_the_newest_lines() -> None:
    history = container(limit=3)
    for number in range(5000):
        history.append(line(str(number)))
    assert history.length == 3
    assert drain(history.reader(asyncio.Event(), from_start=True)) == ["4997", "4998", "4999"]


def test_rotated_lines_that_nobody_was_sent_are_unsent_in_the_ledger() -> None:
    ledger = Ledger()
    history = container(ledger)
    for text in "abc":
        history.append(line(text))
    reader = history.reader(asyncio.Event(), from_start=True)
    reader.peek(1)
    reader.advance(1)
    reader.close()
    history.rotate(keep=1)
    assert [each.line for each in ledger.unsent] == ["b"]
    history.remove()
    assert [each.line for each in ledger.unsent] == ["b", "c"]
    assert ledger.lost == 2


def test_lines_of_a_removed_container_are_lost_only_if_its_open_reader_goes_without_them() -> None:
    ledger = Ledger()
    history = container(ledger)
    for text in "abc":
        history.append(line(text))
    reader = history.reader(asyncio.Event(), from_start=True)
    history.remove()
    assert ledger.unsent == []
    reader.peek(2)
    reader.advance(2)
    reader.close()
    assert [each.line for each in ledger.unsent] == ["c"]


def test_newest_lines_of_an_answer_count_as_sent() -> None:
    ledger = Ledger()
    history = container(ledger)
    for text in "abc":
        history.append(line(text))
    assert [each.line for each in history.replayable(newest=2)] == ["b", "c"]
    history.remove()
    assert [each.line for each in ledger.unsent] == ["a"]
    assert history.replayable(newest=2) == []


def test_a_reader_that_lags_too_far_behind_goes_on_where_memory_begins() -> None:
    ledger = Ledger()
    history = container(ledger, limit=10)
    reader = history.reader(asyncio.Event(), from_start=True)
    for number in range(210_000):
        history.append(line(str(number)))
    texts = drain(reader)
    assert texts[-1] == "209999"
    assert ledger.lost == int(texts[0]) > 0


def test_a_container_is_drained_when_a_replay_from_its_start_was_read_to_the_end() -> None:
    history = container()
    history.append(line("a"))
    tail = history.reader(asyncio.Event(), from_start=False)
    whole = history.reader(asyncio.Event(), from_start=True)
    history.finish()
    tail.close()
    assert not history.drained
    drain(whole)
    whole.close()
    assert history.drained
