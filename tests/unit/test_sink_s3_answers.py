"""The table of S3's answers, code by code."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from botocore import exceptions as boto

from shipper.sinks.port import Outcome, Parked, Rejected, Retry
from shipper.sinks.s3.answers import Answer, Target, outcome_of
from shipper.sinks.s3.failures import answer_of, outcome_of_failure, retry_after

TARGET = Target("acme-logs", "eu-central-1", "https://s3.example.com")


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        ("SlowDown", 503, Retry, "fewer requests"),
        ("ServiceUnavailable", 503, Retry, "problem of its own"),
        ("InternalError", 500, Retry, "problem of its own"),
        ("503", 503, Retry, "problem of its own"),
        ("", 599, Retry, "problem of its own"),
        ("SomethingNew", 500, Retry, "problem of its own"),
        ("TooManyRequests", 429, Retry, "fewer requests"),
        ("429", 429, Retry, "fewer requests"),
        ("RequestTimeout", 400, Retry, "slow"),
        ("BadDigest", 400, Retry, "damaged"),
        ("XAmzContentSHA256Mismatch", 400, Retry, "damaged"),
        ("RequestTimeTooSkewed", 403, Retry, "clock"),
        ("OperationAborted", 409, Retry, "another request"),
        ("ConditionalRequestConflict", 409, Retry, "another request"),
        ("ExpiredToken", 400, Retry, "renewed"),
        ("XMinioStorageFull", 507, Retry, "full"),
        ("AccessDenied", 403, Parked, "s3:PutObject"),
        ("403", 403, Parked, "s3:PutObject"),
        ("InvalidAccessKeyId", 403, Parked, "access_key_id"),
        ("SignatureDoesNotMatch", 403, Parked, "secret_access_key"),
        ("NoSuchBucket", 404, Parked, "make the bucket"),
        ("404", 404, Parked, "make the bucket"),
        ("PermanentRedirect", 301, Parked, "region"),
        ("AuthorizationHeaderMalformed", 400, Parked, "region"),
        ("IllegalLocationConstraintException", 400, Parked, "region"),
        ("KMS.DisabledException", 400, Parked, "KMS key"),
        ("KMS.NotFoundException", 400, Parked, "KMS key"),
        ("KMS.KMSInvalidStateException", 400, Parked, "KMS key"),
        ("KMS.InternalException", 500, Retry, "problem of its own"),
        ("KMS.ThrottlingException", 400, Retry, "fewer requests"),
        ("InvalidStorageClass", 400, Parked, "storage_class"),
        ("InvalidRequest", 400, Parked, "settings"),
        ("NotImplemented", 501, Parked, "if_none_match"),
        ("MethodNotAllowed", 405, Parked, "endpoint_url"),
        ("SomethingNew", 400, Parked, "settings"),
        ("SomethingNew", 418, Parked, "nothing is lost"),
        ("EntityTooLarge", 400, Rejected, "max_size"),
        ("413", 413, Rejected, "max_size"),
        ("KeyTooLongError", 400, Rejected, "prefix"),
    ],
)
def test_each_code_has_its_outcome_and_its_advice(
    code: str, status: int, kind: type[Outcome], said: str
) -> None:
    outcome = outcome_of(Answer(code, status, "as the store put it"), TARGET)
    assert type(outcome) is kind
    reason = getattr(outcome, "reason", "")
    assert said in reason
    assert "acme-logs" in reason
    assert "as the store put it" in reason


def test_the_right_region_is_named_where_the_store_names_it() -> None:
    outcome = outcome_of(Answer("PermanentRedirect", 301, region="us-west-2"), TARGET)
    assert isinstance(outcome, Parked)
    assert "us-west-2" in outcome.reason


def test_an_expired_token_that_nobody_renews_parks() -> None:
    target = Target("acme-logs", own_credentials=True)
    assert isinstance(outcome_of(Answer("ExpiredToken", 400), target), Parked)


def test_a_long_message_of_the_store_is_cut_to_one_short_line() -> None:
    outcome = outcome_of(Answer("AccessDenied", 403, "many\nlines " * 500), TARGET)
    assert isinstance(outcome, Parked)
    assert len(outcome.reason) < 600
    assert "\n" not in outcome.reason


def test_only_a_retry_carries_the_store_s_wish() -> None:
    assert outcome_of(Answer("SlowDown", 503, retry_after_s=7.0), TARGET) == Retry(
        "bucket acme-logs at https://s3.example.com answered SlowDown 503: the store asks for fewer requests",
        7.0,
    )


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, Parked),
        ("InvalidIdentityToken", 400, Parked),
        ("ExpiredTokenException", 400, Retry),
        ("IDPCommunicationError", 400, Retry),
        ("InternalFailure", 500, Retry),
    ],
)
def test_a_refused_role_is_told_from_a_refused_bucket(code: str, status: int, kind: type[Outcome]) -> None:
    outcome = outcome_of(Answer(code, status, operation="AssumeRoleWithWebIdentity"), TARGET)
    assert type(outcome) is kind
    assert "role" in getattr(outcome, "reason", "")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 30}, 3600.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "nonsense"}, None),
    ],
)
def test_a_wish_for_a_pause_is_read_as_number_or_date(
    headers: Mapping[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


def test_an_answer_is_read_out_of_the_client_s_exception() -> None:
    response: Any = {
        "Error": {"Code": "SlowDown", "Message": "Please reduce your request rate."},
        "ResponseMetadata": {
            "HTTPStatusCode": 503,
            "HTTPHeaders": {"retry-after": "3", "x-amz-bucket-region": "eu-west-1"},
        },
    }
    assert answer_of(boto.ClientError(response, "PutObject")) == Answer(
        "SlowDown", 503, "Please reduce your request rate.", "PutObject", "eu-west-1", 3.0
    )


def connector_error(inner: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(connection_key=None, os_error=inner)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (boto.NoCredentialsError(), Parked, "no usable AWS credentials"),
        (boto.CredentialRetrievalError(provider="x", error_msg="y"), Parked, "no usable AWS credentials"),
        (boto.ProfileNotFound(profile="x"), Parked, "profile"),
        (boto.ParamValidationError(report="Invalid bucket name"), Parked, "Invalid bucket name"),
        (boto.ConnectTimeoutError(endpoint_url="u"), Retry, "firewall"),
        (boto.ReadTimeoutError(endpoint_url="u"), Retry, "did not answer in time"),
        (boto.ProxyConnectionError(proxy_url="u"), Retry, "proxy"),
        (
            boto.EndpointConnectionError(
                endpoint_url="u", error=connector_error(ConnectionRefusedError(111, ""))
            ),
            Retry,
            "Connection refused",
        ),
        (boto.SSLError(endpoint_url="u", error=ssl.SSLCertVerificationError("no issuer")), Parked, "ca_file"),
        (boto.ConnectionClosedError(endpoint_url="u"), Retry, "broke"),
        (FileNotFoundError(2, "No such file", "/token"), Parked, "/token"),
        (ValueError("Invalid endpoint: x"), Parked, "Invalid endpoint"),
        (TimeoutError(), Retry, "TimeoutError"),
        (RuntimeError("a bug"), Retry, "RuntimeError: a bug"),
    ],
)
def test_each_exception_has_its_outcome(error: Exception, kind: type[Outcome], said: str) -> None:
    outcome = outcome_of_failure(error, TARGET)
    assert type(outcome) is kind
    assert said in getattr(outcome, "reason", "")
