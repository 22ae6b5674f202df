"""Fuzz targets: what HTTP servers answer to sinks and to the asking for a token, status, headers and body."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserError, create_parser

from shipper.ignite.retry_info import LONGEST_S, retry_after_s
from shipper.ignite.status import CallFailed
from shipper.ignite.token_endpoint import TokenEndpoint
from shipper.sinks.answers import answer_of, wish_s
from shipper.sinks.port import Delivered, Malformed, Parked, Rejected, Retry, TooLarge
from shipper.sinks.s3.answers import Target as Place
from shipper.sinks.s3.failures import outcome_of_failure
from shipper.sinks.sentry.limits import RateLimits
from tests.fuzz.target import Knobs, Target

STATUSES: Final = (
    200,
    202,
    204,
    301,
    307,
    400,
    401,
    403,
    404,
    408,
    409,
    413,
    418,
    422,
    429,
    500,
    503,
    507,
    599,
    999,
)
_MONTH_S: Final = 41 * 86_400.0
_PUT: Final = ServiceModel(Loader().load_service_model("s3", "service-2")).operation_model("PutObject")
_PARSER: Final = create_parser("rest-xml")
_ENDPOINT: Final = TokenEndpoint("https://id.example/token", "client", "secret")


def _answer(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body: lines up to an empty one are headers."""
    knobs = Knobs(data)
    status = STATUSES[knobs.below(len(STATUSES))]
    head, _, body = knobs.rest().partition(b"\n\n")
    headers = {}
    for line in head.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.decode("latin-1").strip().lower()] = value.decode("utf-8", "surrogateescape").strip()
    return status, headers, body


def _one_line(text: str) -> None:
    assert text.isprintable(), "it may write to a terminal"
    assert len(text) < 2_000, "it is long"


def records(data: bytes) -> str:
    """Datadog's and Sentry's answers by the common table, and what the limits of Sentry make of it."""
    status, headers, body = _answer(data)
    answer = answer_of(status, headers, body, clock=lambda: 1e9)
    assert isinstance(answer, (Delivered, Retry, Parked, Malformed, TooLarge))
    _one_line(answer.detail if isinstance(answer, Delivered) else answer.reason)
    wish = wish_s(headers, clock=lambda: 1e9)
    assert wish is None or wish >= 0
    limits = RateLimits()
    limits.learn(status, headers, ("log_item", "log_byte"), 0.0)
    wait = limits.wait_s(("log_item", "log_byte"), 0.0)
    assert 0 <= wait <= _MONTH_S
    return f"{type(answer).__name__} {wish is not None} {wait > 0}"


def s3(data: bytes) -> str:
    """S3's XML of an error, as botocore reads it; what that means for a batch."""
    status, headers, body = _answer(data)
    if status < 300:
        status = 403
    error: Exception
    try:
        parsed: Any = _PARSER.parse(
            {"headers": headers, "body": body, "status_code": status}, _PUT.output_shape
        )
        error = ClientError(parsed, "PutObject")
    except ResponseParserError as damaged:
        error = damaged
    outcome = outcome_of_failure(error, Place("bucket", "eu-central-1", "http://store"))
    assert isinstance(outcome, (Retry, Parked, Rejected))
    wish = outcome.after_s if isinstance(outcome, Retry) else None
    assert wish is None or 0 <= wish <= 3600
    _one_line(outcome.reason)
    return f"{type(outcome).__name__} {wish is not None} {isinstance(error, ClientError)}"


def token(data: bytes) -> str:
    """The token endpoint's answer: a token that can be sent, or CallFailed."""
    status, _, body = _answer(data)
    try:
        grant = _ENDPOINT._read(status, body)
    except CallFailed as failed:
        _one_line(failed.status.message)
        return failed.status.code.name
    assert grant.token.isascii()
    assert grant.token.isprintable()
    assert grant.lifetime_s > 0
    return "token"


def retry_info(data: bytes) -> str:
    """When a server wants to be asked again, in each of the three forms."""
    _, headers, _ = _answer(data)
    wish = retry_after_s(headers.get)
    assert wish is None or 0 <= wish <= LONGEST_S
    return str(wish is not None)


_WORDS: Final = (
    b"\nretry-after: ",
    b"\ndate: Sun, 06 Nov 1994 08:49:37 GMT\n",
    b"-1",
    b"1e9",
    b"99999999999999999999",
    b"nan",
    b"inf",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Mon, 1 Jan 0001 00:00:00 -2359",
    b"x-ratelimit-reset: ",
    b"\n\n",
    b":",
    b";",
    b"x-sentry-rate-limits: ",
    b"60:error;log_item:organization:quota",
    b"1_0",
    b"\xd9\xa3",
    b"\x1b[2J",
    b"\xff",
    b"0.5",
)
_XML: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.'
    b"</Message><Region>eu-west-1</Region><RequestId>1</RequestId></Error>"
)
_DATED: Final = b"date: Sun, 06 Nov 1994 08:49:37 GMT\nretry-after: Sun, 06 Nov 1994 08:50:37 GMT\n\n"

TARGETS: Final = (
    Target(
        "answer-records",
        "answers of Datadog and Sentry, their limits",
        [
            b"\x10retry-after: 30\n\n{}",
            b"\x0ex-sentry-rate-limits: 60:log_item;error:org, 2700::org\n\n",
            b"\x10" + _DATED,
            b'\x05content-type: application/json\n\n{"errors":["bad \x1b[31m"]}',
        ],
        records,
        words=_WORDS,
    ),
    Target(
        "answer-s3",
        "S3's errors in XML",
        [
            b"\x10retry-after: 3\n\n" + _XML,
            b"\x07" + _DATED + _XML.replace(b"SlowDown", b"AccessDenied"),
            b"\x03x-amz-bucket-region: eu-west-3\n\n" + _XML.replace(b"SlowDown", b"PermanentRedirect"),
            b"\x08\n\n<html>not xml</html>",
            b"\x0f\n\n",
        ],
        s3,
        words=[
            *_WORDS,
            b"<Error>",
            b"</Code>",
            b"<Code>",
            b"ExpiredToken",
            b"KMS.X",
            b"&#0;",
            b"<!DOCTYPE x>",
            b"{}",
            b"%s",
        ],
    ),
    Target(
        "answer-token",
        "the token endpoint's answer",
        [
            b'\x00\n\n{"access_token":"abc.def","expires_in":300,"token_type":"Bearer"}',
            b'\x05\n\n{"error":"invalid_client"}',
            b"\x10\n\n<html>",
            b'\x00\n\n{"access_token":"a","expires_in":"60"}',
        ],
        token,
        words=[
            b'"expires_in":',
            b'"access_token":',
            b"null",
            b"1e400",
            b"-1",
            b'"\\u0000"',
            b"[" * 40,
            b"NaN",
            b'"error":',
            b"\n",
        ],
    ),
    Target(
        "retry-info",
        "a server's wish to be asked later",
        [
            b"\x00grpc-retry-pushback-ms: 1500\n",
            b"\x00grpc-status-details-bin: EjIKKXR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBQoDCPQD\n",
            b"\x00grpc-status-details-bin: CA4aLwopdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxICCgAK\n",
            b"\x00" + _DATED,
        ],
        retry_info,
        words=[*_WORDS, b"grpc-status-details-bin: ", b"grpc-retry-pushback-ms: ", b"////", b"==", b"GgIIAQ"],
    ),
)
