"""The sinks that a configuration can name, and the settings of those that store or print what came."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shipper.config.datadog import DatadogSettings
from shipper.config.removal import ON_REMOVE, OnRemove
from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.sentry import SentrySettings
from shipper.config.types import (
    DurationIn,
    FilePath,
    HttpUrl,
    Matching,
    SizeIn,
    Text,
    check_text,
    expect_text,
)
from shipper.model import Codec

_COMPRESSION: Final = (
    "How the objects are compressed: `zstd`, `gzip` or `none`. Default `zstd`: nearly as small as "
    "gzip in an eighth of the time, and DuckDB, Athena, Trino and Spark read it. Choose `gzip` "
    "for tools that know nothing else."
)


def _check_prefix(prefix: str) -> str:
    """Folders without slashes around them; what would make an empty, hidden or escaping folder is refused."""
    folders = prefix.strip("/")
    if not folders:
        return ""
    if any(part in ("", ".", "..") for part in check_text(folders).split("/")):
        raise ValueError("has an empty, . or .. folder in it")
    if len(folders.encode()) > 256:
        raise ValueError("is longer than 256 bytes, which leaves too little of a key's 1024 for the rest")
    return folders


def _check_bucket(bucket: str) -> str:
    if bucket.startswith("s3://"):
        raise ValueError("is a URL; write the bucket's name alone, and what follows it as prefix")
    if "/" in bucket and not bucket.startswith("arn:"):
        raise ValueError("has a / in it; write the bucket's name alone, and the folder as prefix")
    if re.search(r"\s", bucket):
        raise ValueError("has a space in it")
    return bucket


class ObjectBatch(Section):
    """When the records of a partition become one object."""

    max_age: Annotated[float, DurationIn("100ms", "24h")] = Field(
        default=300.0,
        description=(
            "An object is written when its oldest record has waited this long. Default `5m`: about 300 "
            "objects a day for each app, small enough to be cheap, soon enough to be useful. Records are "
            "durable in the buffer long before."
        ),
    )
    max_size: Annotated[int, SizeIn("64KiB", "1GiB")] = Field(
        default=64 << 20,
        description=(
            "An object is written when its compressed bytes reach this. Default `64MiB`: query engines "
            "read such objects well, and one PUT carries them."
        ),
    )


class FileBatch(Section):
    """When the records of a partition become one file."""

    max_age: Annotated[float, DurationIn("100ms", "24h")] = Field(
        default=5.0,
        description=(
            "A file is written when its oldest record has waited this long. Default `5s`: who writes to a "
            "disk nearby mostly wants to look at once. Raise it for a long-lived archive, which is then "
            "made of fewer files."
        ),
    )
    max_size: Annotated[int, SizeIn("64KiB", "1GiB")] = Field(
        default=64 << 20,
        description="A file is written when its compressed bytes reach this. Default `64MiB`, as for S3.",
    )


class Sse(Section):
    """Server-side encryption that is asked for with each object."""

    type: Literal["none", "aes256", "aws:kms"] = Field(
        default="none",
        description=(
            "`none` asks for nothing, `aes256` for SSE-S3, `aws:kms` for a KMS key. Default `none`: the "
            "bucket's own default encryption applies then (on AWS that is SSE-S3 at least)."
        ),
    )
    kms_key_id: Text | None = Field(
        default=None,
        description=(
            "Id, alias or ARN of the KMS key, only with `aws:kms`. Default null: the account's `aws/s3` "
            "key. The daemon needs `kms:GenerateDataKey` on it."
        ),
    )
    bucket_key: bool = Field(
        default=True,
        description=(
            "Use an S3 bucket key with `aws:kms`. Default true: it saves nearly all calls to KMS and "
            "costs nothing."
        ),
    )

    @model_validator(mode="after")
    def _key_needs_kms(self) -> Sse:
        if self.kms_key_id is not None and self.type != "aws:kms":
            raise ValueError(
                f"has a kms_key_id but its type is {self.type}; write type: aws:kms, or remove kms_key_id"
            )
        return self


class S3Settings(Section):
    """An archive in a bucket of S3 or of a store that speaks its protocol (MinIO, R2, Ceph, Garage ...)."""

    type: Literal["s3"] = Field(description="`s3`")
    bucket: Annotated[Text, AfterValidator(_check_bucket)] = Field(
        description="Name of the bucket. It must exist; the daemon makes none."
    )
    prefix: Annotated[str, BeforeValidator(expect_text), AfterValidator(_check_prefix)] = Field(
        default="",
        description=(
            "Folder in front of every key, without slashes around it. Default empty: the archive is the "
            "bucket's top."
        ),
    )
    region: Text | None = Field(
        default=None,
        description=(
            "Region of the bucket, for example `eu-central-1`. Default null: what AWS_REGION, "
            "AWS_DEFAULT_REGION or the profile say. Other stores mostly want `auto` or `us-east-1`."
        ),
    )
    endpoint_url: HttpUrl | None = Field(
        default=None,
        description="URL of a store that is not AWS. Default null: AWS, at the region's own host.",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description=(
            "PEM file of the authorities to trust for `endpoint_url`. Default null: the public ones; "
            "with it, only these."
        ),
    )
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description=(
            "Where the bucket's name goes: `path` (host/bucket/key) or `virtual` (bucket.host/key). "
            "Default `auto`: virtual on AWS, path where `endpoint_url` is set, because few stores have a "
            "host name for each bucket."
        ),
    )
    compression: Codec = Field(default=Codec.ZSTD, description=_COMPRESSION)
    batch: ObjectBatch = Field(
        default_factory=ObjectBatch, description="When an object is written: at its age or its size."
    )
    storage_class: (
        Annotated[str, Matching(r"[A-Za-z0-9_-]{1,64}", "is not a storage class, for example STANDARD_IA")]
        | None
    ) = Field(
        default=None,
        description=(
            "Storage class of the objects, for example `STANDARD_IA`. Default null: the bucket's own. The "
            "colder classes charge each object for at least 128 KiB and 30 days; a lifecycle rule on the "
            "bucket is often the better way."
        ),
    )
    sse: Sse = Field(default_factory=Sse, description="Server-side encryption.")
    if_none_match: bool = Field(
        default=False,
        description=(
            "Write an object only where none is (`If-None-Match: *`). Default false: a batch always has "
            "the same key and the same bytes, so writing it again changes nothing, and some stores refuse "
            "or ignore the condition."
        ),
    )
    expected_bucket_owner: (
        Annotated[str, Matching(r"[0-9]{12}", "is not an AWS account id (12 digits)")] | None
    ) = Field(
        default=None,
        description=(
            "AWS account id that must own the bucket; if another does, nothing is written. Default null: "
            "not checked (several other stores refuse the header)."
        ),
    )
    request_timeout: Annotated[float, DurationIn("1s", "1h")] = Field(
        default=120.0,
        description=(
            "A request that takes longer is given up and tried again. Default `2m`: 64 MiB at 5 Mbit/s."
        ),
    )
    access_key_id: Secret | None = Field(
        default=None,
        description=(
            "Access key. Default null: the usual AWS chain (environment, profile, web identity (IRSA), "
            "EKS Pod Identity, container and instance roles), whose keys renew themselves."
        ),
    )
    secret_access_key: Secret | None = Field(
        default=None, description="Secret of `access_key_id`; both or none. Default null."
    )
    session_token: Secret | None = Field(
        default=None, description="Session token of temporary keys. Default null: the keys are lasting."
    )
    profile: Text | None = Field(
        default=None,
        description=(
            "Profile of ~/.aws/config to take credentials and region from. Default null: AWS_PROFILE or "
            "`default`."
        ),
    )
    on_remove: OnRemove = Field(default="drain", description=ON_REMOVE)

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> S3Settings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            given, absent = ("access_key_id", "secret_access_key")
            if self.access_key_id is None:
                given, absent = absent, given
            raise ValueError(
                f"has {given} without {absent}; write both, or neither to use the AWS credential chain"
            )
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError(
                "has a session_token without access_key_id and secret_access_key; write all three"
            )
        if self.profile is not None and self.access_key_id is not None:
            raise ValueError(
                "has both a profile and access_key_id; only one can say who the daemon is, so remove "
                "the other"
            )
        return self


class DirectorySettings(Section):
    """The same archive in a folder of this machine."""

    type: Literal["directory"] = Field(description="`directory`")
    path: FilePath = Field(
        description=(
            "The folder; it is made where it is missing. A relative path starts where the daemon was started."
        )
    )
    compression: Codec = Field(default=Codec.ZSTD, description=_COMPRESSION)
    batch: FileBatch = Field(
        default_factory=FileBatch, description="When a file is written: at its age or its size."
    )
    on_remove: OnRemove = Field(default="drain", description=ON_REMOVE)


class StdoutSettings(Section):
    """Every record as a line of JSON on standard output, to look at or to pipe into something."""

    type: Literal["stdout"] = Field(description="`stdout`")
    on_remove: OnRemove = Field(default="drain", description=ON_REMOVE)


SinkSettings = Annotated[
    S3Settings | DirectorySettings | StdoutSettings | DatadogSettings | SentrySettings,
    Field(discriminator="type"),
]
