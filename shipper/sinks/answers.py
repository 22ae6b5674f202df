"""What an HTTP answer to a parcel of records means: the one table, for every sink that takes records over HTTP.

| status | means | why |
|---|---|---|
| 2xx | Delivered | |
| 408, 425, 429, 5xx | Retry, with the server's own hint | it may pass |
| 413 | TooLarge: its halves are tried | |
| 400, 422 | Malformed: the bad record is looked for | what is good in the parcel must not be lost with it |
| 401, 403 | Parked: a person has to put the key right | the records are fine |
| all else | Parked: the request went to the wrong place | the records are fine, so nothing is thrown away |

A request without an answer (refused, reset, timed out) is a Retry, but for a server whose certificate proves nothing.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from shipper.sinks.port import Answer, Delivered, Malformed, Parked, Retry, TooLarge

LONGEST_QUOTE: Final = 300
_PASSING: Final = frozenset({408, 425, 429})
_SINGLE: Final[Mapping[int, Callable[[str], Answer]]] = {
    400: Malformed,
    413: TooLarge,
    422: Malformed,
}
_ADVICE: Final[Mapping[int, str]] = {
    401: "check the key",
    403: "check the key and what it may do",
    404: "check the address",
    405: "the address does not take records: correct it",
    407: "the proxy on the way wants credentials",
}
_ELSEWHERE: Final = "the address leads elsewhere: correct it"
_UNKNOWN: Final = "correct what it names; nothing is lost meanwhile"


def answer_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes | str = b"",
    *,
    advice: Mapping[int, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Answer:
    """The table. `body` is quoted in the reason, cut and made harmless; `advice` says by status what a person can do
    about a Parked, in the sink's own words.
    """
    if 200 <= status < 300:
        return Delivered()
    said = quoted(status, body)
    if status in _SINGLE:
        return _SINGLE[status](said)
    if status in _PASSING or status >= 500:
        return Retry(said, wish_s(headers, clock=clock))
    return Parked(f"{said}: {_advice(status, advice or {})}")


def failure_of(error: BaseException, where: str) -> Retry | Parked:
    """What it means that a request to `where` ended in this exception and brought no answer."""
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = getattr(cause, "verify_message", "") or cause
            return Parked(f"{where} does not prove who it is ({why}): check the address")
        if isinstance(cause, socket.gaierror):
            return Retry(f"the name of {where} cannot be resolved ({cause.strerror})")
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return Retry(f"{where} did not answer in time")
    return Retry(f"the connection to {where} failed ({_text(causes)})")


def quoted(status: int, body: bytes | str) -> str:
    """An answer in one line: its status and the beginning of what it says, without control characters."""
    text = body[: 4 * LONGEST_QUOTE]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = one_line(text, LONGEST_QUOTE)
    return f"{status} {_phrase(status)}".rstrip() + (f" ({text})" if text else "")


def one_line(text: str, longest: int) -> str:
    """What a server says, harmless in a log and on a terminal: no control characters, no line ends, cut."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * longest]).split())
    return text if len(text) <= longest else text[:longest] + "…"


def wish_s(headers: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> float | None:
    """How long an answer asks to be left alone, in seconds; None if it does not say.

    `Retry-After` is seconds or a date (RFC 9110, 10.2.3); a date is counted from the answer's own `Date`, so that a
    clock that is wrong here does not matter. `X-RateLimit-Reset` is Datadog's, in seconds
    (https://docs.datadoghq.com/api/latest/rate-limits/). The longer one wins.
    """
    fields = {name.lower(): value.strip() for name, value in headers.items()}
    wishes = [
        wish
        for wish in (_retry_after(fields, clock), _seconds(fields.get("x-ratelimit-reset", "")))
        if wish is not None
    ]
    return max(wishes, default=None)


def _retry_after(fields: Mapping[str, str], clock: Callable[[], float]) -> float | None:
    wish = fields.get("retry-after", "")
    seconds = _seconds(wish)
    if seconds is not None or not wish:
        return seconds
    try:
        then = parsedate_to_datetime(wish).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    try:
        now = parsedate_to_datetime(fields["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        now = clock()
    return max(then - now, 0.0)


def _seconds(text: str) -> float | None:
    """A plain decimal number; nothing that float() would take besides (nan, 1e9, -1)."""
    whole, _, part = text.partition(".")
    if len(text) > 20 or not (text.isascii() and whole.isdigit() and (part.isdigit() or not part)):
        return None
    return float(text)


def _advice(status: int, advice: Mapping[int, str]) -> str:
    if status in advice:
        return advice[status]
    if status in _ADVICE:
        return _ADVICE[status]
    return _ELSEWHERE if 300 <= status < 400 else _UNKNOWN


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies behind it; HTTP clients keep the original as `os_error` or `certificate_error`."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        each = queue.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        queue += [getattr(each, "certificate_error", None), getattr(each, "os_error", None), each.__cause__]


def _text(causes: tuple[BaseException, ...]) -> str:
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno)
    return str(causes[0]) or type(causes[0]).__name__
