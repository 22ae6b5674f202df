"""What an S3 sink is told: where the bucket is, who we are there, and how objects are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from shipper.config.secret import Secret
from shipper.model import Codec

if TYPE_CHECKING:
    from shipper.config.destinations import S3Settings

_ENCRYPTION: Final[dict[str, Literal["AES256", "aws:kms"]]] = {"aes256": "AES256", "aws:kms": "aws:kms"}


@dataclass(frozen=True, slots=True)
class S3Options:
    """One bucket and how to write into it. Secrets are left out of `repr`.

    Without keys of its own the usual AWS chain finds credentials: environment, web identity (IRSA), shared
    files, container and instance metadata. `addressing_style` "auto" is path style with an `endpoint_url` and
    virtual-hosted style on AWS. `timeout_s` bounds one upload, `memory` the bytes of all bodies being uploaded.
    """

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    ca_file: Path | None = None
    compression: Codec = Codec.ZSTD
    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    storage_class: str | None = None
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key_id: str | None = None
    bucket_key: bool = True
    expected_bucket_owner: str | None = None
    if_none_match: bool = False
    timeout_s: float = 120.0
    connect_timeout_s: float = 10.0
    concurrency: int = 4
    memory: int = 64 * 1024 * 1024

    @classmethod
    def of(cls, settings: S3Settings) -> Self:
        """What the configuration says."""
        return cls(
            bucket=settings.bucket,
            prefix=settings.prefix,
            region=settings.region,
            endpoint_url=settings.endpoint_url,
            ca_file=settings.ca_file,
            compression=settings.compression,
            profile=settings.profile,
            access_key_id=_revealed(settings.access_key_id),
            secret_access_key=_revealed(settings.secret_access_key),
            session_token=_revealed(settings.session_token),
            addressing_style=settings.addressing_style,
            storage_class=settings.storage_class,
            encryption=_ENCRYPTION.get(settings.sse.type),
            kms_key_id=settings.sse.kms_key_id,
            bucket_key=settings.sse.bucket_key,
            expected_bucket_owner=settings.expected_bucket_owner,
            if_none_match=settings.if_none_match,
            timeout_s=settings.request_timeout,
        )


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()
