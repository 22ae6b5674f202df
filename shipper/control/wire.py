"""The words of the control socket: JSON objects, one a line. A connection carries one request and its answers.

    {"call": "deadletter.list", "filter": {"sink": "errors"}, "limit": 20}
    ◀ {"letter": {...}} ... {"end": {"meant": 214}}

An answer with `error` or `end` is the last one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final, TypeVar

import orjson

from shipper.buffer import LetterFilter
from shipper.errors import ShipperError
from shipper.model import DeadLetter, Kind, Partition

LONGEST_REQUEST: Final = 64 * 1024

Request = Mapping[str, Any]
Answer = Mapping[str, Any]
Call = Callable[[Request], AsyncGenerator[Answer, None]]

T = TypeVar("T")


class BadRequest(ShipperError):
    """A request or an answer that is not what this version writes; the message says what."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One line."""
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes) -> dict[str, Any]:
    """One line; raises BadRequest."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise BadRequest("not a JSON object")
    return message


def field(message: Mapping[str, Any], name: str, kind: type[T], default: T) -> T:
    """A field of this type; raises BadRequest for another type. An absent one and null are the default."""
    value = message.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadRequest(f"{name} is not what it should be")
    return value


def filter_to_wire(wanted: LetterFilter) -> dict[str, Any]:
    """A filter as JSON."""
    return {
        "sink": wanted.sink,
        "since_ms": wanted.since_ms,
        "until_ms": wanted.until_ms,
        "reason": wanted.reason,
        "ids": None if wanted.ids is None else sorted(wanted.ids),
    }


def filter_from_wire(message: Mapping[str, Any]) -> LetterFilter:
    """A filter from JSON. Raises BadRequest, also for fields that are not known: they would widen what is meant."""
    if unknown := message.keys() - {"sink", "since_ms", "until_ms", "reason", "ids"}:
        raise BadRequest(f"unknown in a filter: {', '.join(sorted(unknown))}")
    ids = message.get("ids")
    if ids is not None and not (isinstance(ids, list) and all(map(_is_storable, ids))):
        raise BadRequest("ids are not numbers of letters")
    return LetterFilter(
        sink=field(message, "sink", str, "") or None,
        since_ms=_time(message, "since_ms"),
        until_ms=_time(message, "until_ms"),
        reason=field(message, "reason", str, ""),
        ids=None if ids is None else frozenset(ids),
    )


def _time(message: Mapping[str, Any], name: str) -> int | None:
    value = message.get(name)
    if value is not None and not _is_storable(value):
        raise BadRequest(f"{name} is not what it should be")
    return value


def _is_storable(value: Any) -> bool:
    """Whether it is a number that the buffer can compare with its own: JSON's may be larger."""
    return type(value) is int and value.bit_length() < 64


def letter_to_wire(letter: DeadLetter, cut: int | None = None) -> dict[str, Any]:
    """A letter as JSON; of its record only the first `cut` characters."""
    record = letter.record.decode("utf-8", "replace").rstrip("\n")
    reason = letter.reason
    return {
        "id": letter.letter_id,
        "sink": letter.sink,
        "kind": letter.partition.kind.value,
        "organization": _encodable(letter.partition.organization),
        "app": _encodable(letter.partition.app),
        "hour": letter.partition.hour,
        "buried_ms": letter.buried_ms,
        "timestamp_ms": letter.timestamp_ms,
        "reason": _encodable(reason),
        "record": record if cut is None else record[:cut],
    }


def letter_from_wire(message: Mapping[str, Any]) -> DeadLetter:
    """A letter from JSON; raises BadRequest."""
    try:
        return DeadLetter(
            sink=message["sink"],
            partition=Partition(
                Kind(message["kind"]), message["organization"], message["app"], message["hour"]
            ),
            buried_ms=message["buried_ms"],
            timestamp_ms=message["timestamp_ms"],
            reason=message["reason"],
            record=message["record"].encode(),
            letter_id=message["id"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRequest(f"not a letter: {error}") from error


def _encodable(text: str) -> str:
    """Names of the platform may hold lone surrogates, which are no text."""
    return text.encode("utf-8", "replace").decode()
