"""What the gateway may wrap around a message, taken off; and errors that come where a message belongs.

Seen in the wild, and none of it documented for these routes:

- `{"result": {…}}` around each message of a stream, and `{"error": {…}}` in its middle (grpc-gateway:
  https://github.com/grpc-ecosystem/grpc-gateway/blob/main/runtime/handler.go),
- `{"data": {…}, "status": "success"}` around answers, with another status where it failed,
- a bare google.rpc.Status, `{"code": 14, "message": "…", "details": […]}`
  (https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shipper.ignite.status import Code, Status, from_http
from shipper.ignite.transport import tidy

_WRAPPINGS: Final = 3  # envelopes inside each other: {"data": {"result": …}} and one more
_FAILED: Final = frozenset(("error", "fail", "failed", "failure"))
_RETRY_INFO: Final = "google.rpc.RetryInfo"


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The messages of a read, in order, up to the `failure` that ends the call if there is one."""

    messages: Sequence[dict[str, Any]]
    failure: Status | None = None


def unwrap_all(items: Sequence[dict[str, Any]]) -> Unwrapped:
    """Take the wrappings off the values of one read."""
    if not any(map(_is_wrapped, items)):
        return Unwrapped(items)
    messages: list[dict[str, Any]] = []
    for item in items:
        message = unwrap(item)
        if isinstance(message, Status):
            return Unwrapped(messages, message)
        messages.append(message)
    return Unwrapped(messages)


def unwrap(item: dict[str, Any]) -> dict[str, Any] | Status:
    """The message inside, or how the call failed."""
    for _ in range(_WRAPPINGS):
        failure = failure_in(item)
        if failure is not None:
            return failure
        inner = item.get("result") if "result" in item else item.get("data")
        if not _is_wrapped(item) or not isinstance(inner, dict):
            break
        item = inner
    return item


def failure_in(item: Mapping[str, Any]) -> Status | None:
    """The status that a value says, where it is an error and no message."""
    error = item.get("error")
    if isinstance(error, dict):
        return _status(error)
    if isinstance(error, str) and error:
        return _status({**item, "message": item.get("message") or error})
    if str(item.get("status")).lower() in _FAILED:
        return _status(item)
    if "code" in item and "message" in item:
        return _status(item)
    return None


def _is_wrapped(item: Mapping[str, Any]) -> bool:
    """A message of the platform has none of these; a compile log's `data` is text and no object."""
    if "result" in item or "error" in item or "code" in item:
        return True
    return "data" in item and (isinstance(item["data"], dict) or "status" in item)


def _status(error: Mapping[str, Any]) -> Status:
    code = _code(error)
    message = error.get("message") or error.get("error_description") or error.get("http_status") or ""
    if not isinstance(message, str):
        message = repr(message)
    return Status(code, tidy(message), _retry_after_s(error.get("details")))


def _code(error: Mapping[str, Any]) -> Code:
    """grpc-gateway v1 says grpc_code and http_code, v2 and google.rpc say code; a number above gRPC's is HTTP's."""
    for name in ("grpc_code", "grpcCode", "code", "http_code", "httpCode"):
        value = error.get(name)
        if isinstance(value, str):
            if value.upper() in Code.__members__:
                return Code[value.upper()]
            value = int(value) if value.isascii() and value.isdecimal() and len(value) < 4 else None
        if isinstance(value, int) and not isinstance(value, bool) and value != Code.OK:
            return Code(value) if value <= max(Code) else from_http(value)
    return Code.UNKNOWN


def _retry_after_s(details: object) -> float | None:
    """The delay of a RetryInfo among the details: a duration is text such as "1.5s" in JSON
    (https://protobuf.dev/programming-guides/json/).
    """
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_RETRY_INFO):
            delay = str(detail.get("retryDelay") or detail.get("retry_delay") or "")
            try:
                seconds = float(delay.removesuffix("s"))
            except ValueError:
                return None
            return min(seconds, 300.0) if seconds >= 0 else None
    return None
