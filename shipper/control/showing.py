"""Dead letters for people's eyes. What apps print may hold anything: no terminal is to obey it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import orjson

from shipper.control.when import shown
from shipper.model import DeadLetter

PREVIEW: Final = 100
_REASON: Final = 60


def safe(text: str) -> str:
    """Text in which whatever does not print (controls, escapes, marks that turn the direction) is written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _written_out(char) for char in text)


def line_of(letter: DeadLetter) -> str:
    """A letter in one line."""
    record = letter.record.decode("utf-8", "replace").strip()
    fields = (
        f"{letter.letter_id}",
        shown(letter.buried_ms),
        safe(letter.sink),
        safe(f"{letter.partition.organization}/{letter.partition.app}"),
        _cut(safe(letter.reason), _REASON),
        _cut(safe(record), PREVIEW),
    )
    return "  ".join(fields)


def page_of(letter: DeadLetter) -> Iterator[str]:
    """A letter with all that is known of it."""
    yield f"letter    {letter.letter_id}"
    yield f"sink      {safe(letter.sink)}"
    yield f"app       {safe(f'{letter.partition.organization}/{letter.partition.app}')}"
    yield f"kind      {letter.partition.kind.value}"
    yield f"record of {shown(letter.timestamp_ms)}"
    yield f"refused   {shown(letter.buried_ms)}"
    yield f"answer    {safe(letter.reason)}"
    for line in letter.record.decode("utf-8", "replace").rstrip("\n").split("\n"):
        yield f"record    {safe(line)}"


def json_of(letter: DeadLetter) -> str:
    """A letter as one line of JSON in plain ASCII; `record` is an object where it is one."""
    text = letter.record.decode("utf-8", "replace").rstrip("\n")
    record: object = text
    with suppress(orjson.JSONDecodeError):  # else it stays text
        record = orjson.loads(text)
    return json.dumps(
        {
            "id": letter.letter_id,
            "sink": letter.sink,
            "kind": letter.partition.kind.value,
            "organization": letter.partition.organization,
            "app": letter.partition.app,
            "buried": shown(letter.buried_ms),
            "buried_ms": letter.buried_ms,
            "timestamp_ms": letter.timestamp_ms,
            "reason": letter.reason,
            "record": record,
        }
    )


def _written_out(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
