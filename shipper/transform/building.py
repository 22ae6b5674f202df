"""From settings to pipelines: one for each sink, and one table of routes for all."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from shipper.config.archives import ARCHIVES
from shipper.transform.joining import JoinLimits
from shipper.transform.pipeline import Parts, SinkPipeline
from shipper.transform.reading import Reader
from shipper.transform.recent import Recent
from shipper.transform.routes import RouteTable
from shipper.transform.rules import Rules

if TYPE_CHECKING:
    from shipper.config.joining import JoinSettings
    from shipper.config.routes import RouteSettings
    from shipper.config.settings import Settings

REVISION: Final = 1
"""Raised when the same settings make something else of the same records than the version before did."""


def build_routes(settings: Settings) -> RouteTable:
    """The routes; `destination` is what the buffer asks at each commit."""
    return RouteTable(settings.routes, settings.sinks)


def build_pipeline(settings: Settings, sink_name: str) -> SinkPipeline:
    """The pipeline of one of the configured sinks."""
    sink = settings.sinks[sink_name]
    archive = sink.type in ARCHIVES
    join: JoinSettings | None = getattr(sink, "join", None)
    joins = join is not None and join.enabled
    routes = build_routes(settings)
    parts = Parts(
        routes=routes,
        rules=Rules(settings.redact, sink_name),
        reader=Reader.of(settings.read) if settings.read else None,
        join=JoinLimits.of(join) if join is not None and joins else None,
        recent=_recent(getattr(sink, "breadcrumbs", 0)),
        archive=archive,
    )
    return SinkPipeline(sink_name, _plan(settings, sink_name, routes, join if joins else None), parts)


def _recent(lines: int) -> Recent | None:
    return Recent(lines=lines) if lines else None


def _plan(settings: Settings, sink_name: str, routes: RouteTable, join: JoinSettings | None) -> str:
    """A digest of all that decides which entries come out, and what is in them.

    What concerns other sinks alone is no part of it: a sink that is added must not make others begin a batch anew.
    """
    said = [
        REVISION,
        sink_name,
        [_seen(*pair, sink_name) for pair in zip(settings.routes, routes.keys, strict=True)],
        [entry.as_data() for entry in settings.read],
        [entry.as_data() for entry in settings.redact if not entry.sinks or sink_name in entry.sinks],
        join.as_data() if join is not None else None,
    ]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _seen(route: RouteSettings, key: str, sink_name: str) -> object:
    """What a route is for one sink. Counts of its throttle are found by its key: under another one they begin anew."""
    takes = sink_name in route.sinks
    said = route.as_data("name", "sinks")
    return [said, takes, key if takes and route.throttle is not None else None]
