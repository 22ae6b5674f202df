"""What HTTP's status codes are in gRPC's, where an answer names none of those itself.

It is google.api.http's mapping read backwards (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto),
and what gRPC says of the codes that are left
(https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). What is done about a code is in
`ignite.status`, for both transports.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shipper.ignite.status import Code

CODES: Final[Mapping[int, Code]] = MappingProxyType(
    {
        400: Code.INVALID_ARGUMENT,
        401: Code.UNAUTHENTICATED,
        402: Code.PERMISSION_DENIED,
        403: Code.PERMISSION_DENIED,
        404: Code.NOT_FOUND,
        405: Code.UNIMPLEMENTED,
        406: Code.UNIMPLEMENTED,
        408: Code.DEADLINE_EXCEEDED,
        409: Code.ABORTED,
        410: Code.NOT_FOUND,
        412: Code.FAILED_PRECONDITION,
        414: Code.INVALID_ARGUMENT,
        415: Code.UNIMPLEMENTED,
        416: Code.OUT_OF_RANGE,
        421: Code.UNAVAILABLE,  # another connection may do (RFC 9110 section 15.5.20)
        422: Code.INVALID_ARGUMENT,
        425: Code.UNAVAILABLE,
        429: Code.RESOURCE_EXHAUSTED,
        431: Code.INVALID_ARGUMENT,
        451: Code.PERMISSION_DENIED,
        499: Code.CANCELLED,
        500: Code.INTERNAL,
        501: Code.UNIMPLEMENTED,
        502: Code.UNAVAILABLE,
        503: Code.UNAVAILABLE,
        504: Code.UNAVAILABLE,
    }
)


def code_of_http(status: int) -> Code:
    """A code that is not known and says that the server failed may pass; any other is a riddle."""
    return CODES.get(status, Code.UNAVAILABLE if 500 <= status <= 599 else Code.UNKNOWN)
