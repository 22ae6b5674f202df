"""Where each call is on the HTTP gateway, and how its fields travel.

Routes are documented at https://docs.dodil.io/ignite/compute/api-reference/observability and its siblings (apps,
drafts; builds: https://docs.dodil.io/ignite/build/api-reference/builds). Query names are camelCase there; those marked
with "inferred" are not shown on a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

_APP: Final = "/v1/ignite/app/{organization_name}/{app_name}"


@dataclass(frozen=True, slots=True)
class Route:
    """One call: its path with the fields that go into it, and the fields that go into the query by their JSON names."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)

    def url(self, fields: Mapping[str, object]) -> str:
        """Path and query. Fields with default values are left out; a name may hold anything."""
        inside = {name: _segment(str(value)) for name, value in fields.items()}
        path = self.path.format_map(inside)
        asked = [
            (self.query[name], str(value).lower() if isinstance(value, bool) else str(value))
            for name, value in fields.items()
            if name in self.query and value
        ]
        return f"{path}?{urlencode(asked)}" if asked else path


def _segment(text: str) -> str:
    """A path segment that holds this text. Dots alone would mean another place."""
    return quote(text, safe="") if text.strip(".") else "%2E" * len(text)


HEALTH: Final = "/v1/ignite/health"  # answers without a token

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        "ListApps": Route(
            "/v1/ignite/app/{organization_name}", {"cursor": "cursor", "limit": "limit"}
        ),  # inferred
        "ListAppReplicas": Route(f"{_APP}/replicas"),
        "GetAppLogs": Route(
            f"{_APP}/logs", {"limit": "limit", "replica_id": "replicaId"}
        ),  # replicaId: inferred
        "StreamAppLogs": Route(
            f"{_APP}/logs/stream", {"replica_id": "replicaId", "from_start": "fromStart"}
        ),  # both inferred
        "GetAppEvents": Route(f"{_APP}/events", {"severity": "severity"}),
        "StreamAppEvents": Route(f"{_APP}/events/stream"),
        "GetDraftInfo": Route(f"{_APP}/draft"),
        "GetBuildLog": Route(f"{_APP}/builds/{{build_id}}/log"),
        "StreamCompileLogs": Route("/v1/ignite/compile/{deploy_id}/logs", {"from_start": "fromStart"}),
        "ListBuilds": Route("/v1/ignite/builds", {"cursor": "cursor", "limit": "limit"}),  # inferred
        "StreamBuildLogs": Route("/v1/ignite/builds/{build_id}/logs/stream", {"from_start": "fromStart"}),
    }
)
