"""The names under which cursors lie in the buffer."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from shipper.model import App, CursorWrite, Kind


def cursor_key(kind: Kind, app: App, replica_id: str = "") -> str:
    """Names a subscription in the buffer."""
    return orjson.dumps([kind.value, app.organization, app.name, replica_id]).decode()


def parse_key(key: str) -> tuple[Kind, App, str]:
    """The inverse of `cursor_key`."""
    kind, organization, name, replica_id = orjson.loads(key)
    return Kind(kind), App(organization, name), replica_id


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A cursor that the next commit removes."""

    key: str

    def write(self) -> CursorWrite:
        return CursorWrite(self.key, b"", delete=True)
