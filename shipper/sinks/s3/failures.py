"""What an exception of the S3 client means for a batch: the module that knows botocore's and aiohttp's errors."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from aiohttp.http_exceptions import BadStatusLine
from botocore import exceptions as boto

from shipper.sinks.answers import one_line
from shipper.sinks.port import Parked, Refusal, Retry
from shipper.sinks.s3.answers import Answer, Target, outcome_of
from shipper.sinks.s3.session import Redirected

# Longer wishes are cut: a store that says "tomorrow" is asked again within the hour.
_LONGEST_WAIT: Final = 3600.0
_LONGEST_REASON: Final = 300

_NO_CREDENTIALS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.LoginError,
)
_BAD_SETTINGS: Final = (
    boto.ParamValidationError,
    boto.ValidationError,
    boto.ProfileNotFound,
    boto.ConfigParseError,
    boto.ConfigNotFound,
    boto.InvalidConfigError,
    boto.NoRegionError,
    boto.InvalidRegionError,
    boto.UnknownRegionError,
    boto.EndpointProviderError,
    boto.BaseEndpointResolverError,
    boto.InvalidEndpointConfigurationError,
    boto.UnsupportedS3ConfigurationError,
    boto.InvalidS3AddressingStyleError,
    boto.InvalidProxiesConfigError,
    ValueError,  # an `endpoint_url` that is no URL
)


def outcome_of_failure(error: Exception, target: Target) -> Refusal:
    """The outcome of a request that ended in this exception."""
    if isinstance(error, boto.ClientError):
        return outcome_of(answer_of(error), target)
    if isinstance(error, _NO_CREDENTIALS):
        return _no_credentials(error)
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError, aiohttp.ClientError)):
        return _transport(error, target)
    if isinstance(error, _BAD_SETTINGS):
        return Parked(f"the settings for {target} make no valid request: {error}")
    if isinstance(
        error, (FileNotFoundError, PermissionError, IsADirectoryError)
    ):  # a token file, a CA bundle
        return Parked(f"cannot read what the request to {target} needs: {error}")
    reason = one_line(str(error), _LONGEST_REASON)  # botocore repeats what it could not parse
    return Retry(f"the request to {target} failed: {type(error).__name__}: {reason}")


def answer_of(error: boto.ClientError) -> Answer:
    """The service's answer in an exception."""
    details: Mapping[str, Any] = error.response.get("Error", {})
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    headers: Mapping[str, str] = metadata.get("HTTPHeaders", {})
    return Answer(
        code=str(details.get("Code", "")),
        status=int(metadata.get("HTTPStatusCode", 0)),
        message=str(details.get("Message", "")),
        operation=error.operation_name,
        region=details.get("Region") or headers.get("x-amz-bucket-region"),
        retry_after_s=retry_after(headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds that an answer asks for: `Retry-After`, a number, or a date after the answer's `Date`."""
    wish = headers.get("retry-after", "").strip()
    try:
        if wish.isdecimal():
            seconds = float(wish)
        else:
            sent = parsedate_to_datetime(headers["date"])
            seconds = (parsedate_to_datetime(wish) - sent).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):  # absent, no date, dates with and without a zone
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _no_credentials(error: Exception) -> Refusal:
    return Parked(
        f"no usable AWS credentials ({error}): set `access_key_id` and `secret_access_key`, or give the process a role"
        " (IRSA, Pod Identity, instance profile)"
    )


def _transport(error: Exception, target: Target) -> Refusal:
    causes = tuple(_causes(error))
    where = target.endpoint or "S3"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = getattr(cause, "certificate_error", cause)  # aiohttp wraps it in an error of the same class
            return Parked(
                f"{where} does not prove who it is ({why}): set `ca_file` to the authority that signed"
                " its certificate, or correct `endpoint_url`"
            )
        if isinstance(cause, Redirected):
            return Parked(f"{where} answered with {cause}: correct `endpoint_url`")
    if isinstance(error, boto.ProxyConnectionError):
        return Retry(f"the HTTP proxy on the way to {where} cannot be reached")
    if isinstance(error, boto.ConnectTimeoutError):
        return Retry(f"{where} did not take the connection in time: is there a firewall between?")
    if isinstance(error, boto.ReadTimeoutError):
        return Retry(f"{where} took the request and did not answer in time")
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return Retry(
                f"the name of {where} cannot be resolved ({cause.strerror}): check `endpoint_url` and DNS"
            )
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorSSLError):
            return Retry(
                f"the TLS handshake with {where} failed ({cause.os_error or cause}): if it does not speak TLS, write"
                " http:// in `endpoint_url`"
            )
        if isinstance(cause, aiohttp.ClientConnectorError):
            return Retry(
                f"{where} cannot be reached ({_os_text(cause.os_error)}): check `endpoint_url`, and firewalls between"
            )
    return Retry(f"the connection to {where} broke before the answer was complete ({_os_text(causes[-1])})")


def _os_text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, BadStatusLine):  # its text has the bytes, over several lines
        return "what came is not HTTP: is `endpoint_url` a store's?"
    return str(error) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies behind it: botocore keeps the original in `kwargs`, aiohttp in `os_error`."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        each = queue.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = getattr(each, "kwargs", {}).get("error")
        queue += [
            kept,
            getattr(each, "certificate_error", None),
            getattr(each, "os_error", None),
            each.__cause__,
        ]
