"""`shipper deadletter`: look at the records that sinks refused for good, send them again, or forget them."""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from shipper.buffer import LetterFilter
from shipper.buffer.files import NAME as BUFFER_NAME
from shipper.control.client import CommandFailed, ask, reach
from shipper.control.letters import Letters, letter_calls
from shipper.control.showing import PREVIEW, json_of, line_of, page_of
from shipper.control.when import moment_ms
from shipper.control.wire import Answer, Request, filter_to_wire, letter_from_wire

DONE: Final = 0
FAILED: Final = 1
_SHOWN: Final = 20

Write = Callable[[str], None]


class OpenBuffer(Protocol):
    """A buffer that this process has opened itself, because no daemon runs."""

    @property
    def letters(self) -> Letters: ...

    async def close(self) -> None: ...


Open = Callable[[], Awaitable[OpenBuffer]]


def add_arguments(
    parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Declare the options of `shipper deadletter`."""
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=True, dest="verb")
    helps = {
        "list": "the letters, the newest first",
        "show": "letters with all that is known of them",
        "replay": "send their records to the sink once more",
        "drop": "forget them",
    }
    for verb, text in helps.items():
        told = verbs.add_parser(verb, help=text)
        add_config(told)
        _add_selection(told)
        told.add_argument("--output", choices=("text", "json"), default="text")
        if verb in ("replay", "drop"):
            told.add_argument("--all", action="store_true", help="every letter there is")
            told.add_argument("--dry-run", action="store_true", help="only say how many it would be")
        told.set_defaults(complain=told.error)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sink", help="only of this sink")
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="refused then or later: 2h, 2026-11-23T20:15"
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="refused before then")
    parser.add_argument("--reason", metavar="TEXT", help="the sink's answer has this in it")
    parser.add_argument(
        "--id", type=_number, action="append", metavar="N", help="this letter; may be repeated"
    )
    parser.add_argument("--limit", type=_number, metavar="N", help="no more than so many")


async def run(arguments: argparse.Namespace, directory: Path, open_buffer: Open, write: Write) -> int:
    """Do it, through the daemon's socket if one runs on the buffer in `directory`; the exit status."""
    _check(arguments)
    verb: str = arguments.verb
    request = _request(arguments)
    async with _answering(directory, open_buffer) as answers:
        if verb in ("list", "show"):
            return await _show(arguments, answers(request), write)
        async for answer in answers(request):
            if "end" in answer:
                return _say_what_was_done(arguments, answer["end"], write)
    raise CommandFailed("the answer has no end")


def _check(arguments: argparse.Namespace) -> None:
    """What argparse cannot say: what a verb needs beside it."""
    selected = any(
        getattr(arguments, name) is not None for name in ("sink", "since", "until", "reason", "id", "limit")
    )
    if arguments.verb == "show" and arguments.id is None:
        arguments.complain("which letters? --id N, as `shipper deadletter list` shows them")
    if arguments.verb in ("replay", "drop") and selected is arguments.all:
        arguments.complain("say which letters (--sink, --since, --until, --reason, --id, --limit), or --all")


def _request(arguments: argparse.Namespace) -> Request:
    wanted = LetterFilter(
        sink=arguments.sink,
        since_ms=arguments.since,
        until_ms=arguments.until,
        reason=arguments.reason or "",
        ids=None if arguments.id is None else frozenset(arguments.id),
    )
    verb, limit = arguments.verb, arguments.limit
    if verb == "list" and limit is None and arguments.output == "text":
        limit = _SHOWN
    return {
        "call": f"deadletter.{'list' if verb == 'show' else verb}",
        "filter": filter_to_wire(wanted),
        "limit": limit,
        "cut": PREVIEW + 1 if verb == "list" and arguments.output == "text" else None,
        "dry_run": getattr(arguments, "dry_run", False),
    }


Answers = Callable[[Request], AsyncIterator[Answer]]


@asynccontextmanager
async def _answering(directory: Path, open_buffer: Open) -> AsyncIterator[Answers]:
    """Whoever answers: the daemon, or this process with the buffer's lock in its hand."""
    connection = reach(directory)
    if connection is not None:
        yield lambda request: _each(ask(connection, request))
        return
    if not (directory / BUFFER_NAME).exists():
        raise CommandFailed(f"there is no buffer in {directory}: is buffer.path the daemon's?")
    buffer = await open_buffer()
    try:
        calls = letter_calls(buffer.letters)
        yield lambda request: calls[request["call"]](request)
    finally:
        await buffer.close()


async def _each(answers: Iterator[Answer]) -> AsyncIterator[Answer]:
    """Nothing else runs in a command, so it may wait for the socket as it is."""
    for answer in answers:
        yield answer


async def _show(arguments: argparse.Namespace, answers: AsyncIterator[Answer], write: Write) -> int:
    shown: set[int] = set()
    meant = 0
    async for answer in answers:
        if "end" in answer:
            meant = answer["end"]["meant"]
            continue
        letter = letter_from_wire(answer["letter"])
        if arguments.output == "json":
            write(json_of(letter))
        elif arguments.verb == "list":
            write(line_of(letter))
        else:
            if shown:
                write("")
            for line in page_of(letter):
                write(line)
        shown.add(letter.letter_id)
    missing = sorted(set(arguments.id or ()) - shown) if arguments.verb == "show" else []
    if missing:
        raise CommandFailed(f"there is no letter {', '.join(map(str, missing))} (any more)")
    if arguments.output == "text" and arguments.verb == "list":
        write(_tally(len(shown), meant))
    return DONE


def _tally(shown: int, meant: int) -> str:
    if not meant:
        return "no dead letters"
    if shown < meant:
        return f"{shown} of {_letters(meant)}; --limit {meant} shows all"
    return _letters(meant)


def _say_what_was_done(arguments: argparse.Namespace, end: Any, write: Write) -> int:
    meant, done = end["meant"], end["done"]
    verb = arguments.verb
    if arguments.output == "json":
        write(f'{{"{verb}": {done}, "meant": {meant}, "dry_run": {str(arguments.dry_run).lower()}}}')
    elif arguments.dry_run:
        write(f"would {verb} {_letters(meant)}")
    else:
        write(f"{'replayed' if verb == 'replay' else 'dropped'} {_letters(done)}")
    if not arguments.dry_run and done < meant:
        raise CommandFailed(
            f"{meant - done} stay: their sink is not configured, the buffer is full, or they are gone already"
        )
    return DONE


def _letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _moment(text: str) -> int:
    try:
        return moment_ms(text, time.time() * 1000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 62):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
