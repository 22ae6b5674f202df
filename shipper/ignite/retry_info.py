"""When a server wants to be asked again, read from what it sends with a refusal.

Three forms are known: `grpc-retry-pushback-ms` (https://github.com/grpc/proposal/blob/master/A6-client-retries.md),
`google.rpc.RetryInfo` among the details in `grpc-status-details-bin`
(https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto), and HTTP's `Retry-After`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 300.0  # no wish may stop a stream for longer: nobody would know it from a loss
_LONGEST_TEXT: Final = 16_384

# Field numbers of google.rpc.Status.details, google.protobuf.Any and RetryInfo with its Duration.
_DETAILS: Final = 3
_ANY_URL, _ANY_VALUE = 1, 2
_DELAY: Final = 1
_SECONDS, _NANOS = 1, 2


def retry_after_s(header: Callable[[str], str | None]) -> float | None:
    """The server's wish in seconds, None where it gave none. `header` looks a header or trailer up by name."""
    wishes = (
        _number(header("grpc-retry-pushback-ms"), 1000.0),
        _retry_info(header("grpc-status-details-bin")),
        _number(header("retry-after"), 1.0),
        _until(header("retry-after"), header("date")),
    )
    return next((min(wish, LONGEST_S) for wish in wishes if wish is not None), None)


def _number(text: str | None, per_second: float) -> float | None:
    """A whole number; a negative pushback means "do not retry", which is not for us to obey."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 15:
        return None
    return int(text) / per_second


def _until(then: str | None, now: str | None) -> float | None:
    """The other form of Retry-After is a date (RFC 9110 section 10.2.3). The server's own Date says how far off it is;
    our clock has to do where a server sends none.
    """
    if then is None:
        return None
    try:
        since = parsedate_to_datetime(now) if now is not None else datetime.now(UTC)
        seconds = (parsedate_to_datetime(then) - since).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one of them without a zone
        return None
    return max(0.0, seconds)


def _retry_info(encoded: str | None) -> float | None:
    if encoded is None or len(encoded) > _LONGEST_TEXT:
        return None
    try:
        status = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        for detail in _messages(status, _DETAILS):
            if b"".join(_messages(detail, _ANY_URL)).endswith(b"/google.rpc.RetryInfo"):
                info = b"".join(_messages(detail, _ANY_VALUE))
                return _seconds(b"".join(_messages(info, _DELAY)))
    except (ValueError, IndexError, binascii.Error):
        pass  # a hint that cannot be read is no hint
    return None


def _seconds(duration: bytes) -> float:
    parts = {number: value for number, value in _fields(duration) if isinstance(value, int)}
    seconds = parts.get(_SECONDS, 0) + parts.get(_NANOS, 0) / 1e9
    return 0.0 if seconds >= 1 << 62 else seconds  # a negative number is a large one on the wire


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, value in _fields(data) if number == wanted and isinstance(value, bytes))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message; raises ValueError or IndexError where it is none
    (https://protobuf.dev/programming-guides/encoding/).
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            size, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(tag & 7, -1)
        if size < 0 or at + size > len(data):
            raise ValueError("not a protobuf message")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a varint of more than ten bytes")
