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

from shipper.ignite.gateway.http_status import code_of_http
from shipper.ignite.gateway.parsing import Object
from shipper.ignite.retry_info import LONGEST_S
from shipper.ignite.status import Code, Status
from shipper.ignite.transport import tidy

_WRAPPINGS: Final = 3  # envelopes inside each other: {"data": {"result": …}} and one more
_MARKS: Final = frozenset(
    ("result", "error", "data", "status", "code")
)  # one at least is in all that is no message
_ERROR_FIELDS: Final = frozenset(
    (
        "code", "message", "details", "detail", "error", "errors", "error_description", "status", "title", "type",
        "grpc_code", "grpcCode", "http_code", "httpCode", "http_status", "httpStatus", "timestamp", "path", "data",
        "instance", "requestId", "request_id",
    )
)  # fmt: skip
_FAILED: Final = frozenset(("error", "fail", "failed", "failure"))
_RETRY_INFO: Final = "google.rpc.RetryInfo"


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The messages of a read, in order, up to the `failure` that ends the call if there is one."""

    messages: Sequence[Object]
    failure: Status | None = None


def unwrap_all(items: Sequence[Object]) -> Unwrapped:
    """Take the wrappings off the values of one read. An envelope may hold several messages, or none."""
    if all(map(_MARKS.isdisjoint, items)):  # nearly always
        return Unwrapped(items)
    messages: list[Object] = []
    for item in items:
        inner = unwrap(item)
        if isinstance(inner, Status):
            return Unwrapped(messages, inner)
        if isinstance(inner, list):
            messages += inner
        elif inner is not None:
            messages.append(inner)
    return Unwrapped(messages)


def unwrap(item: Object) -> Object | list[Object] | Status | None:
    """The message inside, several, or none; or how the call failed."""
    for _ in range(_WRAPPINGS):
        failure = failure_in(item)
        if failure is not None:
            return failure
        if not _is_wrapped(item):
            break
        inner = item.get("result") if "result" in item else item.get("data")
        if inner is None:
            return None
        if isinstance(inner, list) and all(isinstance(each, dict) for each in inner):
            return inner
        if not isinstance(inner, dict):
            break
        item = inner
    return item


def failure_in(item: Mapping[str, Any]) -> Status | None:
    """The status that a value says, where it is an error and no message."""
    error = item.get("error")
    if isinstance(error, dict):
        return _status(error)
    if str(item.get("status")).lower() in _FAILED:
        return _status(item)
    if item.get("data") is not None or not _ERROR_FIELDS.issuperset(item):
        return None  # a message may have a field of one of these names
    if isinstance(error, str) and error:
        return _status({**item, "message": item.get("message") or error})
    return _status(item) if _is_failure(item.get("code")) else None


def _is_failure(code: object) -> bool:
    """Whether a code is one, and neither gRPC's OK nor HTTP's."""
    if isinstance(code, str):
        return code.upper() in Code.__members__ and code.upper() != Code.OK.name
    return isinstance(code, int) and not isinstance(code, bool) and code != Code.OK and not 200 <= code <= 299


def _is_wrapped(item: Mapping[str, Any]) -> bool:
    """A message of the platform has no `result`, and its `data` (of a compile log) is text."""
    return "result" in item or ("data" in item and (not isinstance(item["data"], str) or "status" in item))


def _status(error: Mapping[str, Any]) -> Status:
    code, genuine = _code(error)
    said = (error.get(name) for name in ("message", "detail", "error_description", "http_status", "title"))
    message = next((text for text in said if isinstance(text, str) and text), "")
    return Status(code, tidy(message), _retry_after_s(error.get("details")), genuine=genuine)


def _code(error: Mapping[str, Any]) -> tuple[Code, bool]:
    """The code, and whether it is gRPC's own. grpc-gateway v1 says grpc_code and http_code, v2 and google.rpc say code,
    Google's own APIs have its name in status; a number above gRPC's is HTTP's.
    """
    http = Code.UNKNOWN
    for name in ("grpc_code", "grpcCode", "status", "code", "http_code", "httpCode"):
        value = error.get(name)
        if isinstance(value, str):
            if value.upper() in Code.__members__:
                return Code[value.upper()], True
            value = int(value) if value.isascii() and value.isdecimal() and len(value) < 4 else None
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        if 0 < value <= max(Code):
            return Code(value), True
        if 400 <= value <= 599 and http is Code.UNKNOWN:
            http = code_of_http(value)
    return http, False


def _retry_after_s(details: object) -> float | None:
    """The delay of a RetryInfo among the details: a duration is text such as "1.5s" in JSON
    (https://protobuf.dev/programming-guides/json/).
    """
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_RETRY_INFO):
            delay = detail.get("retryDelay") or detail.get("retry_delay")
            try:
                seconds = float(delay.removesuffix("s")) if isinstance(delay, str) else -1.0
            except ValueError:
                return None
            return min(seconds, LONGEST_S) if seconds >= 0 else None
    return None
