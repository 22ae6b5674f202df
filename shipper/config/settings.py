"""The whole configuration as one frozen value: every setting is declared once, here or in its section's module.

A declaration carries its type, bounds, default and description (units, and why the default is what it is); the
parser's messages, the JSON Schema and docs/configuration.md are all made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from shipper.config.destinations import SinkSettings
from shipper.config.endpoint import Address
from shipper.config.otlp import OtlpSettings
from shipper.config.platform import AppsSettings, CollectSettings, IgniteSettings
from shipper.config.reading import ReadSettings
from shipper.config.redaction import RedactSettings, check_names
from shipper.config.routes import RouteSettings
from shipper.config.section import Section
from shipper.config.sentry import Dsn
from shipper.config.types import DurationIn, FilePath, ListenAddress, Matching, SizeIn

DEFAULT_BUFFER_PATH = Path("/var/lib/shipper")
DEFAULT_LISTEN = Address("127.0.0.1", 9464)

SinkName = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        "is not a name for a sink: up to 64 letters, digits, _ . or -, the first a letter or digit",
    ),
]


class BufferSettings(Section):
    """The durable store between the platform and the sinks: one SQLite file."""

    path: FilePath = Field(
        default=DEFAULT_BUFFER_PATH,
        description=(
            "Folder of the buffer; it must be on a local disk that outlives the process. Default "
            "`/var/lib/shipper`. A relative path starts where the daemon was started."
        ),
    )
    max_size: Annotated[int, SizeIn("16MiB")] = Field(
        default=10 << 30,
        description=(
            "Hard bound on the disk that the buffer takes, its write-ahead log included. Default `10GiB`: "
            "a sink may be down for some hours at 10,000 lines a second, for weeks at 100."
        ),
    )
    when_full: Literal["block", "drop_oldest"] = Field(
        default="block",
        description=(
            "`block` stops reading, so that the platform holds the lines back; `drop_oldest` forgets the "
            "oldest undelivered records, each counted and recorded as a gap. Default `block`: no line is "
            "dropped that the platform still keeps."
        ),
    )


class TelemetrySettings(Section):
    """The status page, metrics and health over HTTP, and the daemon's own faults."""

    listen: ListenAddress | None = Field(
        default=DEFAULT_LISTEN,
        description=(
            "`host:port` of the status page, /api/status, /metrics, /healthz and /readyz; null turns them off. Default "
            "`127.0.0.1:9464`: reachable from this machine alone; write `0.0.0.0:9464` in a container."
        ),
    )
    otlp: OtlpSettings | None = Field(
        default=None,
        description="Pushes the same metrics over OTLP. Default null: they are only there to be read.",
    )
    sentry_dsn: Dsn | None = Field(
        default=None,
        description=(
            "DSN of the Sentry project that gets the daemon's own faults: types, calls and versions, no records "
            "and no names. Default null: none are reported. What your apps do goes to a sink of type `sentry`."
        ),
    )


class ShutdownSettings(Section):
    """How the daemon ends."""

    timeout: Annotated[float, DurationIn("0s", "1h")] = Field(
        default=30.0,
        description=(
            "How long SIGTERM may take to deliver what is collected; the rest stays safe in the buffer. "
            "Default `30s`, which is Kubernetes' own grace period: set that "
            "(terminationGracePeriodSeconds) a few seconds higher."
        ),
    )


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class LogSettings(Section):
    """The daemon's own log, on standard error."""

    format: Literal["text", "json"] = Field(
        default="text",
        description="`text` for people, `json` (one object a line) for machines. Default `text`.",
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info",
        description=(
            "Least level that is logged. Default `info`: one line for each change of state, none while "
            "all is well."
        ),
    )


def _empty_is_none_yet(value: Any) -> Any:
    return {} if value is None else value


def _empty_is_a_list_yet(value: Any) -> Any:
    return [] if value is None else value


class Settings(Section):
    """The configuration of shipper."""

    ignite: IgniteSettings = Field(description="Where the platform is and who the daemon is there.")
    apps: AppsSettings = Field(default_factory=AppsSettings, description="Which apps are followed.")
    collect: CollectSettings = Field(
        default_factory=CollectSettings, description="What is collected of each app."
    )
    buffer: BufferSettings = Field(
        default_factory=BufferSettings, description="The durable store between the platform and the sinks."
    )
    sinks: Annotated[Mapping[SinkName, SinkSettings], BeforeValidator(_empty_is_none_yet)] = Field(
        min_length=1,
        description=(
            "Where records go, by a name of your choice. Every record goes to every sink unless `routes` say "
            "otherwise; a sink that is down delays only itself."
        ),
    )
    routes: Annotated[tuple[RouteSettings, ...], BeforeValidator(_empty_is_a_list_yet)] = Field(
        default=(),
        min_length=1,
        description=(
            "Which records go where: a list in which the first route that matches takes a record, unless it says "
            "`continue: true`. Without the section every record goes to every sink. Examples: [routing.md](routing.md)."
        ),
    )
    read: Annotated[tuple[ReadSettings, ...], BeforeValidator(_empty_is_a_list_yet)] = Field(
        default=(),
        min_length=1,
        description=(
            "What is read from the lines of which apps: a list of which the first entry that fits an app applies. "
            "Without the section nothing is read. Lines stay as they were printed."
        ),
    )
    redact: Annotated[
        tuple[RedactSettings, ...], BeforeValidator(_empty_is_a_list_yet), AfterValidator(check_names)
    ] = Field(
        default=(),
        min_length=1,
        description=(
            "What is taken out of records before they leave. `[redacted:<name of the pattern>]` stands in its "
            "place. Without the section nothing is taken out."
        ),
    )
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings, description="Metrics and health over HTTP."
    )
    shutdown: ShutdownSettings = Field(default_factory=ShutdownSettings, description="How the daemon ends.")
    log: LogSettings = Field(
        default_factory=LogSettings, description="The daemon's own log, on standard error."
    )
