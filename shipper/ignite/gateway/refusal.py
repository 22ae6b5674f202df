"""What an HTTP answer other than 200 means, and what it says for a person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from shipper.ignite.ending import grpc_status
from shipper.ignite.gateway.envelope import failure_in
from shipper.ignite.gateway.http_status import code_of_http
from shipper.ignite.retry_info import retry_after_s
from shipper.ignite.status import Code, Status
from shipper.ignite.transport import tidy

_LOOKED_AT: Final = 4096  # characters of a page: patterns are tried at each of them
_SHOWN: Final = 200
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>|<h1[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)
_UNSEEN: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_SAYING: Final = (
    "message",
    "detail",
    "error_description",
    "error",
    "msg",
    "title",
)  # fields that people read
# What grpc-gateway itself answers where it has no such route
# (https://github.com/grpc-ecosystem/grpc-gateway/blob/main/runtime/errors.go, DefaultRoutingErrorHandler).
_NO_ROUTE: Final = "Not Found"


def refusal(http: int, headers: Mapping[str, str], body: bytes) -> Status:
    """The status that an HTTP answer other than 200 amounts to. It is genuine where a gRPC status is named: in a
    header, as Envoy's transcoder leaves it, or in the body.
    """
    said = grpc_status(headers)
    if said is None or said.code is Code.OK:
        said = _in_body(body)
    wish = retry_after_s(headers.get)
    if said is None:
        shown = _moved(headers) if 300 <= http <= 399 else readable(body, headers.get("content-type") or "")
        said = Status(Code.UNKNOWN, shown, genuine=False)
    code = said.code if said.genuine or said.code is not Code.UNKNOWN else code_of_http(http)
    genuine = said.genuine and not (http == 404 and said.message == _NO_ROUTE)
    message = f"HTTP {http}{said.message and f': {said.message}'}"
    return replace(
        said, code=code, message=message, retry_after_s=said.retry_after_s or wish, genuine=genuine
    )


def readable(body: bytes, content_type: str) -> str:
    """What a body that is no message says, as one line for a person: an HTML page is its title."""
    text = body.decode("utf-8", "replace")
    if "html" in content_type or text.lstrip()[:1] == "<":
        text = text[:_LOOKED_AT]
        title = _TITLE.search(text)
        named = (title[1] or title[2] or "").strip() if title else ""
        text = unescape(_UNSEEN.sub(" ", named or text))
    return tidy(text)[:_SHOWN]


def _in_body(body: bytes) -> Status | None:
    """The status that a body of JSON says."""
    value = _value(body)
    if isinstance(value, list) and value:  # a stream's answer may be an array from its beginning
        value = value[0]
    if not isinstance(value, dict):
        return None
    failure = failure_in(value)
    if failure is not None and failure.message:
        return failure
    said = (value.get(name) for name in _SAYING)
    text = next((text for text in said if isinstance(text, str) and text), "")
    if failure is not None:
        return replace(failure, message=tidy(text))
    return Status(Code.UNKNOWN, tidy(text)[:_SHOWN], genuine=False) if text else None


def _value(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _moved(headers: Mapping[str, str]) -> str:
    """Where a redirection leads, without what only that place should see."""
    try:
        place = urlsplit(headers.get("location") or "")
    except ValueError:
        place = urlsplit("")
    where = f" to {place.scheme}://{place.hostname}{place.path}" if place.hostname else ""
    return f"a redirection{tidy(where) and f' {tidy(where)}'}, which is not followed: check ignite.endpoint"
