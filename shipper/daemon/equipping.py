"""From settings to what a sink's worker works with, and to what the buffer has to know of the sinks."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from shipper.buffer import Route
from shipper.daemon.delivering import Equipment
from shipper.deliver.backlog import BatchPolicy
from shipper.model import Codec
from shipper.sinks import AnySink, make_sink, takes_records

if TYPE_CHECKING:
    from shipper.config.destinations import SinkSettings
    from shipper.config.settings import Settings
    from shipper.transform.port import Pipeline

_STDOUT_POLICY: Final = BatchPolicy(max_age_s=0.5, max_size=1024 * 1024)


async def equipped(settings: Settings, name: str, stack: AsyncExitStack) -> Equipment:
    """A sink, opened and closed with the stack, with the way of its records. OSError for a bad local set-up."""
    sink = make_sink(name, settings.sinks[name])
    stack.push_async_callback(sink.aclose)
    await sink.open()
    return Equipment(sink, pipeline_of(settings, sink), policy(settings.sinks[name]))


def routing(settings: Settings) -> Route | None:
    """Which sinks get a partition, for the buffer; None where every sink gets every record."""
    if not settings.routes:
        return None
    # Imported here, as below: only who transforms records needs it in memory.
    from shipper.transform.building import build_routes

    return build_routes(settings).destination


def pipeline_of(settings: Settings, sink: AnySink) -> Pipeline | None:
    """What records go through on their way to a sink; None where a sink of bytes takes all as they are."""
    if not (settings.routes or settings.redact or takes_records(sink)):
        return None
    from shipper.transform.building import build_pipeline

    return build_pipeline(settings, sink.name)


def frame_codec(settings: Settings) -> Codec:
    """What frames are compressed with: what most sinks store, so that their bytes need no second compression."""
    wanted = Counter(
        sink.compression for sink in settings.sinks.values() if sink.type == "s3" or sink.type == "directory"
    )
    return wanted.most_common(1)[0][0] if wanted else Codec.ZSTD


def policy(settings: SinkSettings) -> BatchPolicy:
    """When a sink's batches are sealed."""
    if settings.type == "stdout":
        return _STDOUT_POLICY
    return BatchPolicy(max_age_s=settings.batch.max_age, max_size=settings.batch.max_size)
