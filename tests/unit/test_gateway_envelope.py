"""What is wrapped around messages, and errors that stand where a message belongs."""

from __future__ import annotations

from typing import Any

import pytest

from shipper.ignite.gateway.envelope import unwrap, unwrap_all
from shipper.ignite.status import Code, Status

LINE = {"timestampMs": "1", "replicaId": "pod", "line": "x"}
CHUNK = {"data": "U3RlcA==", "timestampMs": "1"}


@pytest.mark.parametrize(
    "item",
    [
        LINE,
        CHUNK,
        {"draft": {"status": "VERSION_STATUS_DRAFT", "error": "does not compile"}},
        {
            "status": "BUILD_STATUS_FAILED",
            "error": "does not compile",
            "buildId": "b",
        },  # a message's own fields
        {"message": "Back-off", "reason": "BackOff", "count": 3},
        {},
        {"lines": [], "truncated": False},
        {"error": None, "line": "x"},
        {"error": "", "line": "x"},
    ],
)
def test_a_message_is_left_as_it_is(item: dict[str, Any]) -> None:
    assert unwrap(item) == item


@pytest.mark.parametrize(
    "wrapped",
    [
        {"result": LINE},
        {"result": LINE, "error": None},
        {"data": LINE},
        {"data": LINE, "status": "success"},
        {"data": LINE, "status": "success", "code": 200, "message": "fine"},
        {"data": {"result": LINE}, "status": "success"},
        {"data": {"data": LINE, "status": "ok"}, "status": 200},
    ],
)
def test_an_envelope_is_taken_off(wrapped: dict[str, Any]) -> None:
    assert unwrap(wrapped) == LINE


def test_a_compile_log_in_an_envelope_keeps_its_own_data() -> None:
    assert unwrap({"data": CHUNK, "status": "success"}) == CHUNK


@pytest.mark.parametrize("nothing", [{"data": None, "status": "success"}, {"result": None}])
def test_an_envelope_without_a_message_holds_none(nothing: dict[str, Any]) -> None:
    assert unwrap(nothing) is None
    assert unwrap_all([LINE, nothing, LINE]).messages == [LINE, LINE]


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ({"error": {"code": 14, "message": "gone", "details": []}}, Status(Code.UNAVAILABLE, "gone")),
        (
            {"error": {"grpc_code": 8, "http_code": 429, "message": "slow"}},
            Status(Code.RESOURCE_EXHAUSTED, "slow"),
        ),
        ({"code": 16, "message": "expired", "details": []}, Status(Code.UNAUTHENTICATED, "expired")),
        ({"code": 5}, Status(Code.NOT_FOUND)),
        ({"code": "NOT_FOUND", "message": "no"}, Status(Code.NOT_FOUND, "no")),
        ({"code": 503, "message": "no"}, Status(Code.UNAVAILABLE, "no", genuine=False)),
        ({"code": "503", "error": "no"}, Status(Code.UNAVAILABLE, "no", genuine=False)),
        ({"error": "no"}, Status(Code.UNKNOWN, "no", genuine=False)),
        ({"error": {}}, Status(Code.UNKNOWN, "", genuine=False)),
        ({"status": "error", "message": "a\nb\x1b"}, Status(Code.UNKNOWN, "a b\ufffd", genuine=False)),
        ({"data": {"reason": "x"}, "status": "FAILED", "code": 7}, Status(Code.PERMISSION_DENIED)),
        ({"result": {"error": {"code": 14, "message": "inside"}}}, Status(Code.UNAVAILABLE, "inside")),
        ({"error": {"code": -5, "message": ["no", "text"]}}, Status(Code.UNKNOWN, "", genuine=False)),
        ({"error": {"code": True, "status": "INVALID_ARGUMENT"}}, Status(Code.INVALID_ARGUMENT)),
    ],
)
def test_an_error_in_place_of_a_message_is_the_calls_failure(item: dict[str, Any], status: Status) -> None:
    assert unwrap(item) == status
    unwrapped = unwrap_all([LINE, item, LINE])
    assert (unwrapped.messages, unwrapped.failure) == ([LINE], status)


def test_when_to_come_back_is_read_from_its_details() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}
    error = {"error": {"code": 14, "message": "busy", "details": [{"@type": "x"}, None, info]}}
    assert unwrap(error) == Status(Code.UNAVAILABLE, "busy", 2.5)
