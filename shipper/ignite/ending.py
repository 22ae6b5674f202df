"""How a gRPC answer begins and ends: what its headers and trailers say of the call.

Where the parts of an answer are: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md ("Responses").
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from shipper.ignite.retry_info import retry_after_s
from shipper.ignite.status import OK, Code, Status, code_of, from_http
from shipper.ignite.transport import Response, tidy


def grpc_status(headers: Mapping[str, str]) -> Status | None:
    """The status that trailers (or headers that are trailers too) carry, None where there is none."""
    number = headers.get("grpc-status")
    if number is None:
        return None
    message = tidy(unquote(headers.get("grpc-message") or "", errors="replace"))
    return Status(code_of(number), message, retry_after_s(headers.get))


def refusal(response: Response) -> Status | None:
    """How an answer fails before it begins: refused in the headers, or a page that some proxy made."""
    status = grpc_status(response.headers)
    if status is not None:
        return None if status.code is Code.OK else status
    kind = tidy(response.headers.get("content-type") or "")
    if response.status == 200 and kind.startswith("application/grpc"):
        return None
    return Status(
        Code.UNKNOWN if response.status == 200 else from_http(response.status),
        f"HTTP {response.status} with content-type {kind or 'absent'!r} is no answer of a gRPC server: check "
        "ignite.endpoint and what stands in front of it",
        retry_after_s(response.headers.get),
        genuine=False,
    )


def ended(response: Response, base_url: str, *, incomplete: bool) -> Status:
    """The status of an answer whose body has ended; `incomplete` says that a message is not whole."""
    status = grpc_status(response.trailers) or grpc_status(response.headers)
    if status is None:
        return Status(Code.UNAVAILABLE, f"{base_url} cut the call before its end")
    if status.code is Code.OK and incomplete:
        return Status(Code.UNAVAILABLE, f"{base_url} ended the call in the middle of a message")
    return OK if status.code is Code.OK else status
