"""What an HTTP answer that is no success means: the same table of codes and actions as gRPC's."""

from __future__ import annotations

import json

import pytest

from shipper.ignite.gateway.http_status import code_of_http
from shipper.ignite.gateway.refusal import readable, refusal
from shipper.ignite.status import Action, Code, Status

HTTP = [
    (302, Code.UNKNOWN, Action.RETRY),
    (400, Code.INVALID_ARGUMENT, Action.PARK),
    (401, Code.UNAUTHENTICATED, Action.REAUTHENTICATE),
    (402, Code.PERMISSION_DENIED, Action.PARK),
    (403, Code.PERMISSION_DENIED, Action.PARK),
    (404, Code.NOT_FOUND, Action.GONE),
    (405, Code.UNIMPLEMENTED, Action.STOP),
    (406, Code.UNIMPLEMENTED, Action.STOP),
    (408, Code.DEADLINE_EXCEEDED, Action.RETRY),
    (409, Code.ABORTED, Action.RETRY),
    (410, Code.NOT_FOUND, Action.GONE),
    (412, Code.FAILED_PRECONDITION, Action.RETRY),
    (414, Code.INVALID_ARGUMENT, Action.PARK),
    (418, Code.UNKNOWN, Action.RETRY),
    (422, Code.INVALID_ARGUMENT, Action.PARK),
    (429, Code.RESOURCE_EXHAUSTED, Action.WAIT),
    (499, Code.CANCELLED, Action.RETRY),
    (500, Code.INTERNAL, Action.RETRY),
    (501, Code.UNIMPLEMENTED, Action.STOP),
    (502, Code.UNAVAILABLE, Action.WAIT),
    (503, Code.UNAVAILABLE, Action.WAIT),
    (504, Code.UNAVAILABLE, Action.WAIT),
    (522, Code.UNAVAILABLE, Action.WAIT),
]


@pytest.mark.parametrize(("http", "code", "action"), HTTP)
def test_a_status_that_nothing_explains_is_a_code_with_its_action(
    http: int, code: Code, action: Action
) -> None:
    status = refusal(http, {}, b"")
    assert (status.code, status.action) == (code, action)
    assert not status.genuine
    assert code_of_http(http) is code


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
@pytest.mark.parametrize("form", ["number", "name", "inside", "v1", "envelope", "header", "google"])
def test_a_grpc_code_that_is_named_is_believed_whatever_http_says(code: Code, form: str) -> None:
    headers: dict[str, str] = {}
    body: dict[str, object] = {
        "number": {"code": int(code), "message": "why", "details": []},
        "name": {"code": code.name, "message": "why"},
        "inside": {"error": {"code": int(code), "message": "why"}},
        "v1": {"error": "why", "grpc_code": int(code), "http_code": 503, "message": "why"},
        "envelope": {"data": None, "status": "error", "code": int(code), "message": "why"},
        "google": {"error": {"code": 418, "message": "why", "status": code.name}},
        "header": {},
    }[form]
    if form == "header":
        headers = {"grpc-status": str(int(code)), "grpc-message": "w%68y"}
    assert refusal(503, headers, json.dumps(body).encode()) == Status(code, "HTTP 503: why")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"no such thing"}', "no such thing"),
        (b'{"message":"no Route matched with those values"}', "no Route matched with those values"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"timestamp":"2026","status":404,"error":"Not Found","path":"/v1"}', "Not Found"),
        (b'{"data":null,"status":"error","message":"app checkout not found"}', "app checkout not found"),
        (b'{"type":"about:blank","title":"Not here","status":404}', "Not here"),
        (b'[{"error":{"message":"in an array"}}]', "in an array"),
        (b"404 page not found\n", "404 page not found"),
        (b'"just text"', '"just text"'),
        (b"", ""),
        (b"\xff\xfe\x00", "\ufffd\ufffd\ufffd"),
    ],
)
def test_a_body_without_a_code_is_read_for_people(body: bytes, message: str) -> None:
    status = refusal(404, {}, body)
    assert status.message == f"HTTP 404{message and f': {message}'}"
    assert (status.code, status.genuine) == (Code.NOT_FOUND, False)


def test_the_word_of_a_router_is_not_the_word_of_an_app() -> None:
    """grpc-gateway says code 5 and just "Not Found" where it has no such route."""
    assert not refusal(404, {}, b'{"code":5,"message":"Not Found","details":[]}').genuine
    assert refusal(404, {}, b'{"code":5,"message":"app checkout not found","details":[]}').genuine


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        ("<!DOCTYPE html>\n<TITLE lang=en>\n Sign in &amp;\n go on </TITLE>", "Sign in & go on"),
        ("<h1>Whoops</h1><p>later</p>", "Whoops"),
        ("<html><style>p {}</style><script>x < 1</script><p>upstream <b>gone</b></p>", "upstream gone"),
        ("<title></title><p>nothing to say</p>", "nothing to say"),
        ("<title>" * 10_000, "<"),
        ("<" * 100_000, "<" * 200),
    ],
)
def test_a_page_becomes_one_readable_line(page: str, line: str) -> None:
    assert readable(page.encode(), "text/html") == line


def test_when_to_come_back_is_read_from_headers_and_from_the_body() -> None:
    assert refusal(429, {"retry-after": "7"}, b"").retry_after_s == 7.0
    later = {"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert refusal(503, later, b"<html>").retry_after_s == 30.0
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}
    assert refusal(503, {}, json.dumps({"code": 14, "details": [info]}).encode()).retry_after_s == 1.5
    for nonsense in ("soon", "-1s", "nans", None, 5, {"seconds": 1}):
        body = json.dumps({"code": 14, "message": "", "details": [info | {"retryDelay": nonsense}]}).encode()
        assert refusal(503, {}, body).retry_after_s is None


def test_a_redirection_is_said_without_what_only_its_place_should_see() -> None:
    message = refusal(302, {"location": "https://login.example/in?token=secret#x"}, b"<html>").message
    assert "to https://login.example/in" in message
    assert "secret" not in message
    assert "ignite.endpoint" in message
    assert "redirection" in refusal(301, {"location": "https://[::"}, b"").message
    assert "redirection" in refusal(308, {}, b"").message
