"""What shipper reads of Ignite's messages: field names and the shape each must have. Numbers are the server's
business.

Names are documented at https://docs.dodil.io/ignite/compute/api-reference/observability and
https://docs.dodil.io/ignite/build/api-reference/builds; what is inferred is marked in proto/ignite_compute.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

SERVICE: Final = "dodil.ignite.v1.ComputeService"
BUILD_SERVICE: Final = "dodil.ignite.v1.BuildService"


class Shape(Enum):
    """What a field must be convertible to."""

    TEXT = "text"
    INT = "int"
    BOOL = "bool"
    ENUM = "enum"
    ROW = "message"
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One field by name. A server without a `needed` field cannot be used; without another it reads as
    absent.
    """

    name: str
    shape: Shape
    needed: bool = False
    rows: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: what is sent and what is read. A server whose messages do not have what an `optional` one needs
    counts as one that does not offer it.
    """

    name: str
    request: tuple[Wanted, ...]
    response: tuple[Wanted, ...]
    service: str = SERVICE
    optional: bool = False


_APP: Final = (
    Wanted("organization_name", Shape.TEXT, needed=True),
    Wanted("app_name", Shape.TEXT, needed=True),
)
LOG_LINE: Final = (
    Wanted("timestamp_ms", Shape.INT, needed=True),
    Wanted("replica_id", Shape.TEXT),
    Wanted("stream", Shape.ENUM),
    Wanted("line", Shape.TEXT, needed=True),
)
EVENT: Final = (
    Wanted("timestamp_ms", Shape.INT, needed=True),
    Wanted("kind", Shape.ENUM),
    Wanted("reason", Shape.TEXT),
    Wanted("message", Shape.TEXT),
    Wanted("replica_id", Shape.TEXT),
    Wanted("count", Shape.INT),
    Wanted("severity", Shape.TEXT),
)
REPLICA: Final = (
    Wanted("replica_id", Shape.TEXT, needed=True),
    Wanted("cluster_id", Shape.TEXT),
    Wanted("node_name", Shape.TEXT),
    Wanted("status", Shape.ENUM),
    Wanted("ready", Shape.BOOL),
    Wanted("restart_count", Shape.INT),
    Wanted("started_ms", Shape.INT),
)
DRAFT: Final = (
    Wanted("deploy_id", Shape.TEXT, needed=True),
    Wanted("status", Shape.ENUM),
    Wanted("created_at_ms", Shape.INT),
    Wanted("image_ref", Shape.TEXT),
)
BUILD: Final = (
    Wanted("build_id", Shape.TEXT, needed=True),
    Wanted("name", Shape.TEXT),
    Wanted("app_name", Shape.TEXT),
    Wanted("status", Shape.ENUM),
    Wanted("created_at_ms", Shape.INT),
)
OUTPUT: Final = (Wanted("data", Shape.TEXT, needed=True), Wanted("timestamp_ms", Shape.INT))

METHODS: Final = {
    method.name: method
    for method in (
        Method(
            "ListApps",
            (
                Wanted("organization_name", Shape.TEXT, needed=True),
                Wanted("limit", Shape.INT),
                Wanted("cursor", Shape.TEXT),
            ),
            (
                Wanted("apps", Shape.ROWS, needed=True, rows=(Wanted("name", Shape.TEXT, needed=True),)),
                Wanted("next_cursor", Shape.TEXT),
            ),
        ),
        Method("ListAppReplicas", _APP, (Wanted("replicas", Shape.ROWS, needed=True, rows=REPLICA),)),
        Method(
            "GetAppLogs",
            (*_APP, Wanted("limit", Shape.INT), Wanted("replica_id", Shape.TEXT, needed=True)),
            (
                Wanted("lines", Shape.ROWS, needed=True, rows=LOG_LINE),
                Wanted("truncated", Shape.BOOL),
            ),
        ),
        Method(
            "StreamAppLogs",
            (
                *_APP,
                Wanted("replica_id", Shape.TEXT, needed=True),
                Wanted("from_start", Shape.BOOL, needed=True),
            ),
            LOG_LINE,
        ),
        Method(
            "GetAppEvents",
            _APP,
            (
                Wanted("events", Shape.ROWS, needed=True, rows=EVENT),
                Wanted("truncated", Shape.BOOL),
            ),
        ),
        Method("StreamAppEvents", _APP, EVENT),
        Method("GetDraftInfo", _APP, (Wanted("draft", Shape.ROW, needed=True, rows=DRAFT),), optional=True),
        Method(
            "GetBuildLog",
            (*_APP, Wanted("build_id", Shape.TEXT, needed=True)),
            (Wanted("log", Shape.TEXT, needed=True), Wanted("found", Shape.BOOL, needed=True)),
            optional=True,
        ),
        Method(
            "StreamCompileLogs",
            (Wanted("deploy_id", Shape.TEXT, needed=True), Wanted("from_start", Shape.BOOL, needed=True)),
            OUTPUT,
            optional=True,
        ),
        Method(
            "ListBuilds",
            (Wanted("limit", Shape.INT), Wanted("cursor", Shape.TEXT)),
            (Wanted("builds", Shape.ROWS, needed=True, rows=BUILD), Wanted("next_cursor", Shape.TEXT)),
            BUILD_SERVICE,
            optional=True,
        ),
        Method(
            "StreamBuildLogs",
            (Wanted("build_id", Shape.TEXT, needed=True), Wanted("from_start", Shape.BOOL, needed=True)),
            OUTPUT,
            BUILD_SERVICE,
            optional=True,
        ),
    )
}
