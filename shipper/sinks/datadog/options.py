"""What a Datadog sink is told: which account, and how records are named there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from shipper.model import Codec

if TYPE_CHECKING:
    from shipper.config.datadog import DatadogSettings

_LOGS_HOST: Final = "http-intake.logs"
_API_HOST: Final = "api"


@dataclass(frozen=True, slots=True)
class DatadogOptions:
    """One account and how to write into it. The key is left out of `repr`.

    `service`, `source` and `hostname` are templates of a record's names (see `labels`), `tags` are whole `key:value`
    texts. `late` says what happens to records that Datadog would throw away for their time, `events` where platform
    events go. `timeout_s` bounds one request, connecting included.
    """

    api_key: str = field(repr=False)
    site: str = "datadoghq.com"
    endpoint_url: str | None = None
    ca_file: Path | None = None
    service: str = "{app}"
    source: str = "ignite"
    hostname: str = "{node}"
    tags: tuple[str, ...] = ()
    compression: Codec = Codec.GZIP
    late: Literal["restamp", "drop"] = "restamp"
    events: Literal["logs", "api", "both", "none"] = "logs"
    timeout_s: float = 30.0
    concurrency: int = 4

    @classmethod
    def of(cls, settings: DatadogSettings) -> Self:
        """What the configuration says."""
        return cls(
            api_key=settings.api_key.reveal(),
            site=settings.site,
            endpoint_url=settings.endpoint_url,
            ca_file=settings.ca_file,
            service=settings.service,
            source=settings.source,
            hostname=settings.hostname,
            tags=settings.tags,
            compression=settings.compression,
            late=settings.late,
            events=settings.events,
            timeout_s=settings.request_timeout,
            concurrency=settings.concurrency,
        )

    @property
    def intake(self) -> str:
        """Where logs go, without the path."""
        return self._host(_LOGS_HOST)

    @property
    def api(self) -> str:
        """Where events go and keys are validated, without the path."""
        return self._host(_API_HOST)

    def _host(self, name: str) -> str:
        return self.endpoint_url.rstrip("/") if self.endpoint_url else f"https://{name}.{self.site}"
