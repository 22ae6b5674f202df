"""What a failed S3 request means for a batch: one table of error codes, and one pure function over it.

Only what concerns the one object is rejected. What a person has to put right parks the sink, and so does
every 4xx that is not in the table: the data then waits in the buffer, while a rejection would lose it. All
else is tried again. Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; those of
other stores are marked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shipper.sinks.answers import one_line
from shipper.sinks.port import Parked, Refusal, Rejected, Retry

_LONGEST_QUOTE: Final = 300
_LONGEST_NAME: Final = 60  # of a code or a region


@dataclass(frozen=True, slots=True)
class Answer:
    """An error that a service gave. `code` is the XML's, or the HTTP status in digits where there was no XML."""

    code: str
    status: int
    message: str = ""
    operation: str = "PutObject"
    region: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where the request went, for the messages."""

    bucket: str
    region: str | None = None
    endpoint: str | None = None
    own_credentials: bool = False

    def __str__(self) -> str:
        return f"bucket {self.bucket}" + (f" at {self.endpoint}" if self.endpoint else "")


@dataclass(frozen=True, slots=True)
class _Rule:
    outcome: Callable[[str], Refusal]
    advice: str


def _rules(outcome: Callable[[str], Refusal], advices: Mapping[str, str]) -> dict[str, _Rule]:
    return {code: _Rule(outcome, advice) for codes, advice in advices.items() for code in codes.split()}


_SLOW = "the store asks for fewer requests"
_LATER = "the store has a problem of its own"
_DAMAGED = "the body was damaged on the way"
_CLOCK = "this machine's clock is wrong by more than the store allows: set it (NTP)"
_ACCESS = "allow s3:PutObject on the bucket, and kms:GenerateDataKey where KMS encrypts (docs/sinks.md has the policy)"
_SIGNATURE = (
    "check `secret_access_key` (or the chain's), and that no proxy changes the Host header or the path"
)
_KEY_ID = "check `access_key_id` (or the chain's) and that it belongs to this store"
_REGION = "set `region` to the bucket's own{region}"
_KMS = "check that the KMS key exists in the bucket's region, is enabled and may be used by this identity"
_SETTINGS = (
    "the store does not take these settings: check encryption, storage class and `expected_bucket_owner`"
)
_UNKNOWN_HEADER = (
    "the store does not know something in the request: unset `if_none_match`, `storage_class`, encryption and"
    " `expected_bucket_owner` one after the other"
)

_CODES: Final[Mapping[str, _Rule]] = {
    **_rules(
        Retry,
        {
            "SlowDown SlowDownWrite SlowDownRead": _SLOW,  # the latter two: MinIO
            "Throttling ThrottlingException TooManyRequests TooManyRequestsException RequestLimitExceeded 429": _SLOW,
            "BandwidthLimitExceeded KMS.ThrottlingException": _SLOW,
            "InternalError ServiceUnavailable Busy 500 502 503 504": _LATER,
            "XMinioServerNotInitialized XMinioReadQuorum XMinioWriteQuorum": _LATER,  # MinIO
            "RequestTimeout 408": "the store waited too long for the body: is the line slow?",
            "IncompleteBody BadDigest InvalidDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch": _DAMAGED,
            "RequestTimeTooSkewed": _CLOCK,
            "OperationAborted ConditionalRequestConflict 409": "another request for the same object is under way",
            "TokenRefreshRequired": "the credentials are being renewed",
            "QuotaExceeded XMinioStorageFull InsufficientStorage 507": "the store is full: raise its quota",
            "TemporaryRedirect": "the bucket's address is still being published",
            "IDPCommunicationError": "the identity provider cannot be reached",  # STS
        },
    ),
    **_rules(
        Parked,
        {
            "AccessDenied AccessDeniedException AllAccessDisabled UnauthorizedAccess 401 403": _ACCESS,
            "AccountProblem NotSignedUp": "the account is suspended or not signed up: ask its owner",
            "InvalidAccessKeyId XAdminUserNotFound": _KEY_ID,  # the latter: versitygw
            "SignatureDoesNotMatch": _SIGNATURE,
            "InvalidToken InvalidSecurity": "check the session token",
            "NoSuchBucket 404": "make the bucket, or correct `bucket` or `endpoint_url`",
            "InvalidBucketName InvalidBucketState": "check `bucket`",
            "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException 301": _REGION,
            "InvalidStorageClass": "check `storage_class`",
            "InvalidEncryptionAlgorithmError": "check the encryption settings",
            "InvalidArgument InvalidRequest 400": _SETTINGS,
            "NotImplemented 501": _UNKNOWN_HEADER,
            "MethodNotAllowed 405": "`endpoint_url` is not where an S3 store takes uploads: correct it",
        },
    ),
    **_rules(
        Rejected,
        {
            "EntityTooLarge MaxMessageLengthExceeded 413": "too large for the store: lower `batch.max_size`",
            "KeyTooLong KeyTooLongError": "the key is too long for the store: shorten `prefix`",
            "XMinioInvalidObjectName": "the store does not take this key",  # MinIO
        },
    ),
}


def outcome_of(answer: Answer, target: Target) -> Refusal:
    """The outcome of a request that a service answered with an error."""
    if answer.operation.startswith("AssumeRole"):
        return _identity_outcome(answer)
    rule = _rule(answer, target)
    region = f" ({one_line(answer.region, _LONGEST_NAME)})" if answer.region else ""
    advice = rule.advice.format(region=region)
    outcome = rule.outcome(f"{target} answered {_quoted(answer)}: {advice}")
    if isinstance(outcome, Retry):
        return Retry(outcome.reason, answer.retry_after_s)
    return outcome


def _rule(answer: Answer, target: Target) -> _Rule:
    if answer.code in ("ExpiredToken", "ExpiredTokenException"):
        if target.own_credentials:
            return _Rule(
                Parked,
                "the session token has expired and cannot renew itself: give a new one, or use the AWS chain",
            )
        return _Rule(Retry, "the credentials have expired and are renewed")
    if answer.code in _CODES:
        return _CODES[answer.code]
    if answer.code.startswith("KMS.") and answer.status < 500:
        return _Rule(Parked, _KMS)
    if str(answer.status) in _CODES:
        return _CODES[str(answer.status)]
    if answer.status >= 500:
        return _Rule(Retry, _LATER)
    return _Rule(Parked, "correct what it names; nothing is lost meanwhile")


def _identity_outcome(answer: Answer) -> Refusal:
    """STS refused to hand out credentials for a role (web identity, IRSA)."""
    said = f"the role's credentials were refused by {answer.operation}: {_quoted(answer)}"
    passing = answer.status >= 500 or answer.code in (
        "IDPCommunicationError",
        "Throttling",
        "ThrottlingException",
    )
    if passing or answer.code in (
        "ExpiredToken",
        "ExpiredTokenException",
    ):  # the kubelet replaces the token file
        return Retry(f"{said}: asked again", answer.retry_after_s)
    return Parked(f"{said}: check AWS_ROLE_ARN, the role's trust policy and the service account's annotation")


def _quoted(answer: Answer) -> str:
    text = one_line(answer.message, _LONGEST_QUOTE)
    status = "" if str(answer.status) == answer.code else f" {answer.status}"
    return f"{one_line(answer.code, _LONGEST_NAME)}{status}" + (f" ({text})" if text else "")
