"""From settings to pipelines: one for each sink, and one table of routes for all."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

from shipper.config.destinations import DirectorySettings, S3Settings, StdoutSettings
from shipper.config.joining import JoinSettings
from shipper.config.settings import Settings
from shipper.transform.joining import JoinLimits
from shipper.transform.pipeline import Parts, SinkPipeline
from shipper.transform.reading import Reader
from shipper.transform.recent import Recent
from shipper.transform.routes import RouteTable
from shipper.transform.rules import Rules

REVISION: Final = 1
"""Raised when the same settings make something else of the same records than the version before did."""


def build_routes(settings: Settings) -> RouteTable:
    """The routes; `sinks_of` is what the buffer asks at each commit."""
    return RouteTable(settings.routes, settings.sinks)


def build_pipeline(settings: Settings, sink_name: str) -> SinkPipeline:
    """The pipeline of one of the configured sinks."""
    sink = settings.sinks[sink_name]
    archive = isinstance(sink, S3Settings | DirectorySettings | StdoutSettings)
    join: JoinSettings | None = getattr(sink, "join", None)
    joins = join is not None and join.enabled
    parts = Parts(
        routes=build_routes(settings),
        rules=Rules(settings.redact, sink_name),
        reader=Reader.of(settings.read) if settings.read else None,
        join=JoinLimits.of(join) if join is not None and joins else None,
        recent=_recent(getattr(sink, "breadcrumbs", 0)),
        archive=archive,
    )
    return SinkPipeline(sink_name, _plan(settings, sink_name, join if joins else None), parts)


def _recent(lines: int) -> Recent | None:
    return Recent(lines=lines) if lines else None


def _plan(settings: Settings, sink_name: str, join: JoinSettings | None) -> str:
    """A digest of all that decides which entries come out, and what is in them."""
    said = [
        REVISION,
        sink_name,
        sorted(settings.sinks),
        [route.model_dump(mode="json") for route in settings.routes],
        [entry.model_dump(mode="json") for entry in settings.read],
        [entry.model_dump(mode="json") for entry in settings.redact],
        join.model_dump(mode="json") if join is not None else None,
    ]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
