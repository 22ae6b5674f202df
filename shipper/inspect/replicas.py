"""`shipper ignite replicas`: which replicas of an app run."""

from __future__ import annotations

import orjson

from shipper.ignite.port import Platform
from shipper.inspect.showing import Screen, moment, table
from shipper.model import App, Replica

_HEAD = ("REPLICA", "STATUS", "READY", "RESTARTS", "STARTED", "CLUSTER", "NODE")


async def show(platform: Platform, app: App, screen: Screen) -> None:
    """Print them. Raises CallFailed."""
    replicas = await platform.list_replicas(app)
    if screen.json:
        screen.records(b"".join(map(_json, replicas)))
        return
    screen.write(table(_HEAD, map(_row, replicas)))
    if not replicas:
        screen.warn(
            f"no replica of {app} runs now; an app that is scaled to zero has none until it is called"
        )


def _row(replica: Replica) -> tuple[str, ...]:
    return (
        replica.replica_id,
        replica.status.removeprefix("STATUS_"),
        "yes" if replica.ready else "no",
        str(replica.restart_count),
        moment(replica.started_ms),
        replica.cluster_id,
        replica.node_name,
    )


def _json(replica: Replica) -> bytes:
    fields = {
        "organization": replica.app.organization,
        "app": replica.app.name,
        "replica_id": replica.replica_id,
        "cluster_id": replica.cluster_id,
        "node_name": replica.node_name,
        "status": replica.status,
        "ready": replica.ready,
        "restart_count": replica.restart_count,
        "started_ms": replica.started_ms,
    }
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
