"""Where metrics are pushed to over OTLP, beside the page that Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.types import DurationIn, HttpUrl

_OWN: Final = frozenset({"content-type", "content-encoding", "content-length", "host", "user-agent"})


def _check_headers(headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or name.lower() in _OWN:
            raise ValueError("has a name that is no header's, or one that the export sets itself")
        if not re.fullmatch(r"[\x20-\x7e]+", value.reveal()):
            raise ValueError("has a value with characters other than printable ASCII")
    return headers


def _null_is_empty(headers: Any) -> Any:
    return {} if headers is None else headers


OtlpHeaders = Annotated[
    Mapping[str, Secret],
    BeforeValidator(_null_is_empty),
    AfterValidator(_check_headers),
    WithJsonSchema(
        {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string", "minLength": 1, "writeOnly": True},
        }
    ),
]


class OtlpSettings(Section):
    """Metrics pushed over OTLP/HTTP, such as to an OpenTelemetry Collector."""

    endpoint: HttpUrl = Field(
        description=(
            "Base URL of the receiver, such as `http://otel-collector:4318`; `/v1/metrics` is added to it. A URL that "
            "ends with that is taken as it is."
        )
    )
    headers: OtlpHeaders = Field(
        default_factory=dict,
        description="Headers of every request, such as a vendor's key. Default: none.",
    )
    interval: Annotated[float, DurationIn("1s", "1h")] = Field(
        default=60.0,
        description="How often all metrics are sent. Default `1m`, as OpenTelemetry's own exporters do.",
    )
