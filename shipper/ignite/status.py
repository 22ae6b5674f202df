"""What an answer of the platform means: the one table from status code to what is done about it.

Codes are gRPC's (https://grpc.io/docs/guides/status-codes/). An HTTP answer that is not gRPC is mapped as
gRPC says (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md), and so is a stream that
was reset (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Errors").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from shipper.errors import PlatformError


class Code(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Action(Enum):
    """What is done about a status."""

    DONE = "done"  # the call did what it should
    RETRY = "retry"  # again, after a backoff
    WAIT = "wait"  # again, when the server said, else after a backoff
    REAUTHENTICATE = "reauthenticate"  # again with a new token, after a backoff
    GONE = "gone"  # the thing asked for is not there: look again at what there is, then retry
    PARK = "park"  # nothing will change by itself: try rarely, say so
    STOP = "stop"  # this feature is not offered here: do not ask again


ACTIONS: Final[dict[Code, Action]] = {
    Code.OK: Action.DONE,
    Code.CANCELLED: Action.RETRY,
    Code.UNKNOWN: Action.RETRY,
    Code.INVALID_ARGUMENT: Action.PARK,
    Code.DEADLINE_EXCEEDED: Action.RETRY,
    Code.NOT_FOUND: Action.GONE,
    Code.ALREADY_EXISTS: Action.RETRY,
    Code.PERMISSION_DENIED: Action.PARK,
    Code.RESOURCE_EXHAUSTED: Action.WAIT,
    Code.FAILED_PRECONDITION: Action.RETRY,
    Code.ABORTED: Action.RETRY,
    Code.OUT_OF_RANGE: Action.RETRY,
    Code.UNIMPLEMENTED: Action.STOP,
    Code.INTERNAL: Action.RETRY,
    Code.UNAVAILABLE: Action.WAIT,
    Code.DATA_LOSS: Action.RETRY,
    Code.UNAUTHENTICATED: Action.REAUTHENTICATE,
}

HTTP_CODES: Final[dict[int, Code]] = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}

RESET_CODES: Final[dict[int, Code]] = {  # by HTTP/2 error code (RFC 9113 section 7)
    7: Code.UNAVAILABLE,  # REFUSED_STREAM
    8: Code.CANCELLED,  # CANCEL
    11: Code.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    12: Code.PERMISSION_DENIED,  # INADEQUATE_SECURITY
}


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended. `retry_after_s` is the server's own wish in seconds, where it gave one. `genuine` is False
    where the answer was not a gRPC server's, but for example a proxy's page.
    """

    code: Code
    message: str = ""
    retry_after_s: float | None = None
    genuine: bool = True

    @property
    def action(self) -> Action:
        return ACTIONS[self.code]

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name


OK: Final = Status(Code.OK)


class CallFailed(PlatformError):
    """A call or stream ended with a status other than OK."""

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status


def code_of(number: str) -> Code:
    """The code that a `grpc-status` header names; what is no known code is UNKNOWN, as the gRPC specification
    asks.
    """
    try:
        return Code(int(number))
    except ValueError:
        return Code.UNKNOWN


def from_http(status: int) -> Code:
    """The code for an HTTP status of an answer that carries no `grpc-status`."""
    return HTTP_CODES.get(status, Code.UNKNOWN)


def from_reset(error_code: int) -> Code:
    """The code for a stream that the other side reset."""
    return RESET_CODES.get(error_code, Code.INTERNAL)
