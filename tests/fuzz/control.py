"""Fuzz targets: both sides of the control socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from shipper.buffer import LetterFilter, LetterTotals
from shipper.control.letters import letter_calls
from shipper.control.server import ControlServer
from shipper.control.showing import json_of, line_of, page_of
from shipper.control.tapping import _wanted
from shipper.control.taps import Wanted
from shipper.control.wire import BadRequest, decode, letter_from_wire
from shipper.model import DeadLetter
from tests.fuzz.target import Target

_LARGEST: Final = 2**63 - 1


class _Letters:
    """Takes what SQLite takes."""

    async def page(
        self, wanted: LetterFilter, *, limit: int = 100, newest_first: bool = True, after: int | None = None
    ) -> Sequence[DeadLetter]:
        _storable(wanted)
        assert 0 < limit <= 100
        return ()

    async def count(self, wanted: LetterFilter) -> LetterTotals:
        _storable(wanted)
        return LetterTotals(0, 0)

    async def drop(self, wanted: LetterFilter) -> int:
        _storable(wanted)
        return 0

    async def replay(self, wanted: LetterFilter) -> int:
        _storable(wanted)
        return 0


class _Writer:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        return None


def _storable(wanted: LetterFilter) -> None:
    numbers = [wanted.since_ms, wanted.until_ms, *(wanted.ids or ())]
    assert all(-_LARGEST - 1 <= number <= _LARGEST for number in numbers if number is not None), (
        "too large a number"
    )
    assert all(isinstance(text, str) for text in (wanted.sink or "", wanted.reason))


_SERVER: Final = ControlServer(Path("nowhere"), letter_calls(_Letters()))


async def _served(line: bytes) -> str:
    writer: Any = _Writer()
    await _SERVER._answer(line, writer)
    for answer in bytes(writer.written).splitlines():
        decoded = decode(answer)
        if "error" in decoded:
            return str(decoded["error"])[:20]
    return "answered"


async def requests(data: bytes) -> str:
    """The daemon's side: every request is answered, if only with what is wrong with it; so is a tap's."""
    try:
        wanted = _wanted(decode(data))
        assert isinstance(wanted, Wanted)
    except BadRequest:
        pass
    return await _served(data)


def letters(data: bytes) -> str:
    """The command's side: an answer is a letter that can be shown on a terminal, or BadRequest."""
    try:
        letter = letter_from_wire(decode(data))
    except BadRequest as error:
        return str(error)[:20]
    for text in (line_of(letter), *page_of(letter), json_of(letter)):
        assert "\x1b" not in text, "it may write to a terminal"
    return "letter"


_LETTER: Final = (
    b'{"id":1,"sink":"errors","kind":"logs","organization":"acme","app":"a","hour":480000,"buried_ms":1700000000000,'
    b'"timestamp_ms":1700000000000,"reason":"400 (bad)","record":"{\\"line\\":\\"x\\"}"}'
)

TARGETS: Final = (
    Target(
        "control-requests",
        "requests on the control socket",
        [
            b'{"call":"deadletter.list","filter":{"sink":"errors","since_ms":1,"ids":[1,2]},"limit":20,"cut":80}',
            b'{"call":"deadletter.drop","filter":{"reason":"x"},"limit":5,"dry_run":true}',
            b'{"call":"deadletter.replay","filter":{"until_ms":-5}}',
            b'{"call":"tap","kinds":["logs"],"app":"checkout-*","match":"time ?out"}',
        ],
        run_async=requests,
        words=[
            b"null",
            b"true",
            b"18446744073709551615",
            b"-1",
            b"1e30",
            b'"ids":',
            b"[]",
            b"{}",
            b'"limit":',
            b'"match":"(("',
            b'"kinds":[{}]',
            b'"kinds":[[]]',
            b"\\ud800",
            b'"filter":',
            b"99999",
            b'"\\u0000"',
        ],
    ),
    Target(
        "control-answers",
        "dead letters that a daemon answers",
        [_LETTER],
        letters,
        words=[
            b"null",
            b"true",
            b"18446744073709551615",
            b"-1",
            b"1e300",
            b"{}",
            b"[]",
            b"\\u001b[2J",
            b"\\u202e",
            b'"hour":',
            b'"record":',
            b'"line_base64":',
            b'\\"line\\":5',
            b"-62135596800001",
        ],
    ),
)
