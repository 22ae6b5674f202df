"""Putting another configuration in force: what can fail first, all of it or nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from shipper.buffer import WhenFull
from shipper.collect.intake import may_wait
from shipper.daemon.changes import Changes, Version
from shipper.daemon.collecting import Connection
from shipper.daemon.delivering import Equipment
from shipper.daemon.equipping import equipped, frame_codec, pipeline_of, routing
from shipper.daemon.serving import Daemon
from shipper.ignite.connect import token_source

if TYPE_CHECKING:
    from shipper.config.settings import Settings


async def apply(daemon: Daemon, before: Version, after: Version, changes: Changes) -> None:
    """Make `after` the configuration in force.

    Raises ShipperError, OSError or ValueError where a part of it cannot be made; then `before` is still in force. What
    has to end first (an upload, a stream) is not waited for: its successor begins when it has.
    """
    settings = after.settings
    async with AsyncExitStack() as undo:
        equipment = await _equipment(daemon, settings, changes, undo)
        connection = tokens = None
        if changes.platform:
            connection = Connection.of(settings.ignite, daemon.meter)
            undo.push_async_callback(connection.aclose)
        elif changes.tokens:
            tokens = token_source(settings.ignite.auth, daemon.meter)
        if changes.listen:
            former = daemon.listening.address
            await daemon.listening.move(settings.telemetry.listen)
            undo.push_async_callback(daemon.listening.move, former)
        if changes.buffer:
            await _reconfigure_buffer(daemon, settings)
        undo.pop_all()

    daemon.settings = settings
    daemon.meter.know(changes.added)
    for name in changes.removed:
        daemon.delivering.remove(name, discard=before.settings.sinks[name].on_remove == "discard")
    for name, one in equipment.items():
        daemon.delivering.put(name, one)
    if connection is not None:
        daemon.collecting.begin_anew(settings, connection)
    elif changes.collection:
        daemon.collecting.select(settings)
    if tokens is not None:
        await daemon.collecting.exchange_tokens(tokens).aclose()


async def _equipment(
    daemon: Daemon, settings: Settings, changes: Changes, undo: AsyncExitStack
) -> dict[str, Equipment]:
    """For every sink that gets another worker."""
    made: dict[str, Equipment] = {}
    for name in (*changes.added, *changes.changed):
        made[name] = await equipped(settings, name, undo)
    for name in changes.transformed:
        present = daemon.delivering.equipment(name)
        if present is None:  # it ends with the process
            continue
        pipeline = await asyncio.to_thread(pipeline_of, settings, present.sink)
        other = replace(present, pipeline=pipeline)
        if present.transforms or other.transforms:
            made[name] = other
    return made


async def _reconfigure_buffer(daemon: Daemon, settings: Settings) -> None:
    codec = frame_codec(settings)
    await daemon.buffer.reconfigure(
        max_size=settings.buffer.max_size,
        when_full=WhenFull(settings.buffer.when_full),
        sinks=tuple(settings.sinks),
        codec=codec,
        route=await asyncio.to_thread(routing, settings),
    )
    daemon.intake.codec = codec
    daemon.intake.hold_at = may_wait(settings.buffer.max_size, daemon.buffer.largest_commit)
