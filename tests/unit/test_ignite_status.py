"""What each answer of the platform means: the table is total and says what gRPC says."""

from __future__ import annotations

import pytest

from shipper.ignite.status import (
    ACTIONS,
    Action,
    CallFailed,
    Code,
    Status,
    code_of,
    from_http,
    from_reset,
)


def test_every_code_has_an_action() -> None:
    assert ACTIONS.keys() == set(Code)


def test_only_ok_is_done() -> None:
    assert [code for code, action in ACTIONS.items() if action is Action.DONE] == [Code.OK]


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (Code.UNAUTHENTICATED, Action.REAUTHENTICATE),
        (Code.PERMISSION_DENIED, Action.PARK),
        (Code.NOT_FOUND, Action.GONE),
        (Code.UNIMPLEMENTED, Action.STOP),
        (Code.UNAVAILABLE, Action.WAIT),
        (Code.RESOURCE_EXHAUSTED, Action.WAIT),
        (Code.DEADLINE_EXCEEDED, Action.RETRY),
    ],
)
def test_the_codes_that_the_platform_uses_do_what_operations_needs(code: Code, action: Action) -> None:
    assert Status(code).action is action


def test_a_number_that_is_no_code_is_unknown() -> None:
    assert [code_of(text) for text in ("0", "16", "17", "-1", "x", "", "1e3")] == [
        Code.OK,
        Code.UNAUTHENTICATED,
        *[Code.UNKNOWN] * 5,
    ]


@pytest.mark.parametrize(
    ("http", "code"),
    [
        (400, Code.INTERNAL),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.UNIMPLEMENTED),
        (429, Code.UNAVAILABLE),
        (502, Code.UNAVAILABLE),
        (503, Code.UNAVAILABLE),
        (504, Code.UNAVAILABLE),
        (301, Code.UNKNOWN),
        (418, Code.UNKNOWN),
        (500, Code.UNKNOWN),
    ],
)
def test_an_http_answer_without_grpc_status_maps_as_grpc_says(http: int, code: Code) -> None:
    assert from_http(http) is code


def test_every_reset_of_a_stream_can_be_tried_again_or_parked() -> None:
    assert {from_reset(number).name for number in range(20)} == {
        "INTERNAL",
        "UNAVAILABLE",
        "CANCELLED",
        "RESOURCE_EXHAUSTED",
        "PERMISSION_DENIED",
    }
    assert from_reset(7) is Code.UNAVAILABLE  # REFUSED_STREAM
    assert from_reset(11) is Code.RESOURCE_EXHAUSTED  # ENHANCE_YOUR_CALM


def test_a_failed_call_reads_as_code_and_message() -> None:
    assert str(CallFailed(Status(Code.NOT_FOUND, "no app"))) == "NOT_FOUND: no app"
    assert str(Status(Code.ABORTED)) == "ABORTED"
