"""The bytes of one request to Sentry: an envelope with one item.

One item an envelope, and so one category: Relay may answer 429 after it has queued a part of a mixed envelope
(relay-server/src/endpoints/common.rs), and of an envelope with one category a 429 means that nothing was taken.

No `sent_at` is ever written. Relay takes what differs between it and its own clock, from 55 minutes on, for an error of
the sender's clock and shifts every timestamp (relay-server clock drift processing); records that waited in the buffer
through an outage would be dated by when it ended. And the times in the records are the platform's, not this machine's.

Format: https://develop.sentry.dev/sdk/foundations/transport/envelopes/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper import __version__

CLIENT: Final = f"shipper/{__version__}"
LOGS_TYPE: Final = "application/vnd.sentry.items.log+json"
MOST_LOGS: Final = (
    100  # an SDK must send no more in an envelope: https://develop.sentry.dev/sdk/telemetry/logs/
)
MOST_BYTES: Final = 1024 * 1024  # of a container's logs; Relay takes 12 MiB of them, older ones 1 MiB

# Version 2: Relay does not infer a browser and an IP address from the request; they would be shipper's own
# (https://github.com/getsentry/sentry-javascript/issues/20277).
_OPENING: Final = b'{"version":2,"items":['
_CLOSING: Final = b"]}"
_SDK: Final = {"name": "shipper", "version": __version__}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one request carries. `categories` are those of Sentry's rate limits that stop it; `event_id` is an event's.

    `records` counts those that are lost to the sink where this is not sent, `also_logs` those that leave as logs too.
    """

    data: bytes
    categories: tuple[str, ...]
    event_id: str = ""
    records: int = 0
    also_logs: int = 0


LOG_CATEGORIES: Final = ("log_item", "log_byte")
ERROR_CATEGORIES: Final = ("error", "default")


def of_logs(logs: Sequence[bytes], records: int) -> Envelope:
    """A container of logs that are JSON already."""
    payload = _OPENING + b",".join(logs) + _CLOSING
    header = {
        "type": "log",
        "item_count": len(logs),
        "content_type": LOGS_TYPE,
        "length": len(payload),
    }
    return Envelope(_join({"sdk": _SDK}, header, payload), LOG_CATEGORIES, records=records)


def of_event(event: Mapping[str, Any], records: int = 0, also_logs: int = 0) -> Envelope:
    """An error event. Its id stands in the envelope's header too, which servers look at first."""
    payload = dumps(event)
    header = {"type": "event", "content_type": "application/json", "length": len(payload)}
    event_id = str(event["event_id"])
    data = _join({"event_id": event_id, "sdk": _SDK}, header, payload)
    return Envelope(data, ERROR_CATEGORIES, event_id, records, also_logs)


def of_nothing(timestamp_s: int) -> Envelope:
    """A client report of no drops: it goes through all that checks a DSN, and leaves no trace in the project."""
    payload = dumps({"timestamp": timestamp_s, "discarded_events": []})
    return Envelope(
        _join({"sdk": _SDK}, {"type": "client_report", "length": len(payload)}, payload), ("internal",)
    )


def logs_size(logs: int, size: int) -> int:
    """How many bytes a container of so many logs has, which have `size` bytes together."""
    return len(_OPENING) + len(_CLOSING) + size + max(0, logs - 1)


def dumps(value: object) -> bytes:
    """JSON. Text that is no valid Unicode is shown with U+FFFD, and a number that JSON has no room for as text."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_showable(value))


def _showable(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        case Mapping():
            return {str(_showable(str(key))): _showable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_showable(inner) for inner in value]
        case bool() | float() | None:
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _:
            return str(value)


def _join(header: Mapping[str, Any], item_header: Mapping[str, Any], payload: bytes) -> bytes:
    return b"\n".join((orjson.dumps(header), orjson.dumps(item_header), payload, b""))
