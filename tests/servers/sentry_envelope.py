"""A strict reader of Sentry's envelopes: what breaks a rule of the format is an error, not a shrug.

Rules: https://develop.sentry.dev/sdk/foundations/transport/envelopes/, .../envelope-items/, .../telemetry/logs/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEX_32, HEX_16 = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")
LEVELS = {"trace", "debug", "info", "warn", "error", "fatal"}
EVENT_LEVELS = {"debug", "info", "warning", "error", "fatal"}
PLATFORMS = {"other", "python", "java", "go", "node", "native", "csharp"}
TYPES = {"string": str, "integer": int, "double": float, "boolean": bool}
MOST_LOGS, MIB = 100, 1024 * 1024


class BadEnvelope(Exception):
    """A rule is broken."""


@dataclass(frozen=True, slots=True)
class Item:
    headers: Mapping[str, Any]
    payload: bytes

    @property
    def type(self) -> str:
        return str(self.headers["type"])

    def json(self) -> Any:
        return json.loads(self.payload)


@dataclass(frozen=True, slots=True)
class Envelope:
    headers: Mapping[str, Any]
    item: Item

    @property
    def event(self) -> dict[str, Any]:
        must(self.item.type == "event", "no event")
        found: dict[str, Any] = self.item.json()
        return found

    @property
    def logs(self) -> list[dict[str, Any]]:
        must(self.item.type == "log", "no logs")
        found: list[dict[str, Any]] = self.item.json()["items"]
        return found


def must(holds: object, rule: str) -> None:
    if not holds:
        raise BadEnvelope(rule)


def parse(data: bytes) -> Envelope:
    """The one item of an envelope, checked."""
    head, _, rest = data.partition(b"\n")
    headers = _object(head, "envelope headers")
    must("sent_at" not in headers, "sent_at is written where nothing is sent yet")
    item_head, found, rest = rest.partition(b"\n")
    must(found, "an envelope without an item")
    item_headers = _object(item_head, "item headers")
    length = item_headers.get("length")
    must(isinstance(length, int), "an item without a length")
    payload, end = rest[:length], rest[length:]
    must(len(payload) == length, "an item shorter than its length")
    must(end in (b"", b"\n"), "more than one item, or a wrong length")
    envelope = Envelope(headers, Item(item_headers, payload))
    checks = {"log": _check_logs, "event": _check_event, "client_report": _check_report}
    kind = item_headers.get("type")
    must(kind in checks, f"an item of type {kind}")
    checks[str(kind)](envelope)
    return envelope


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        raise BadEnvelope(f"{what}: {error}") from error
    must(isinstance(value, dict), f"{what} are no object")
    found: dict[str, Any] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_logs(envelope: Envelope) -> None:
    headers = envelope.item.headers
    must(headers.get("content_type") == "application/vnd.sentry.items.log+json", "the content type of logs")
    must(len(envelope.item.payload) <= MIB, "a container of more than 1 MiB")
    payload = _object(envelope.item.payload, "payload")
    must(set(payload) == {"version", "items"} and payload["version"] == 2, "the shape of a container")
    items = payload["items"]
    must(headers.get("item_count") == len(items), "item_count is wrong")
    must(0 < len(items) <= MOST_LOGS, f"{len(items)} logs in a container")
    for log in items:
        _check_log(log)


def _check_log(log: Mapping[str, Any]) -> None:
    unknown = set(log) - {"timestamp", "trace_id", "span_id", "level", "body", "attributes"}
    must(not unknown, f"a log with {unknown}")
    must(isinstance(log.get("timestamp"), float) and log["timestamp"] >= 0, "a log's timestamp")
    must(_is_id(log.get("trace_id"), HEX_32), "a log's trace_id")
    must("span_id" not in log or _is_id(log["span_id"], HEX_16), "a log's span_id")
    must(log.get("level") in LEVELS, "a log's level")
    must(isinstance(log.get("body"), str) and len(log["body"].encode()) <= 64 * 1024, "a log's body")
    for name, attribute in log.get("attributes", {}).items():
        must(set(attribute) == {"value", "type"}, f"the shape of attribute {name}")
        must(type(attribute["value"]) is TYPES.get(attribute["type"]), f"the type of attribute {name}")
        must(0 < len(name) <= 200, "the length of an attribute's name")
        if attribute["type"] == "integer":
            must(-(2**63) <= attribute["value"] < 2**63, f"attribute {name} is more than 64 bits")


def _check_event(envelope: Envelope) -> None:
    must(len(envelope.item.payload) <= MIB, "an event of more than 1 MiB")
    event = _object(envelope.item.payload, "payload")
    must(_is_id(event.get("event_id"), HEX_32), "an event's id")
    must(envelope.headers.get("event_id") == event["event_id"], "two ids for one event")
    must(isinstance(event.get("timestamp"), float), "an event's timestamp")
    must(event.get("platform") in PLATFORMS, "an event's platform")
    must(event.get("level") in EVENT_LEVELS, "an event's level")
    must(
        event.get("fingerprint") and all(isinstance(part, str) for part in event["fingerprint"]),
        "fingerprint",
    )
    for name, value in event["tags"].items():
        must(re.fullmatch(r"[A-Za-z0-9_.:-]{1,32}", name), f"the tag {name}")
        must(isinstance(value, str) and 0 < len(value) <= 200, f"the value of tag {name}")
    trace = event["contexts"]["trace"]
    must(_is_id(trace["trace_id"], HEX_32) and _is_id(trace["span_id"], HEX_16), "the trace context")
    must(("exception" in event) != ("logentry" in event), "an event is an exception or a message")
    for crumb in event.get("breadcrumbs", {}).get("values", ()):
        must(isinstance(crumb["timestamp"], float) and isinstance(crumb["message"], str), "a breadcrumb")


def _check_report(envelope: Envelope) -> None:
    must(set(envelope.item.json()) == {"timestamp", "discarded_events"}, "the shape of a client report")


def _is_id(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None and value.strip("0") != ""
