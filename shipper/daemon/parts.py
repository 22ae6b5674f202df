"""From settings to parts, built and opened in the order in which they must close again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from shipper.buffer import Buffer, Route, WhenFull
from shipper.collect.collector import Collector, Selection
from shipper.collect.context import Context
from shipper.collect.intake import HOLD_AT, Intake
from shipper.collect.states import States
from shipper.config.destinations import DirectorySettings, S3Settings, SinkSettings, StdoutSettings
from shipper.config.settings import Settings
from shipper.control.letters import letter_calls
from shipper.control.server import ControlServer
from shipper.daemon.serving import CONNECTED, WRITABLE, Daemon
from shipper.daemon.sight import Sight
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.ignite.connect import connect
from shipper.meter import Meter
from shipper.model import Codec, Gap
from shipper.sinks import AnySink, make_sink, takes_records
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.web import TelemetryServer

if TYPE_CHECKING:
    from shipper.telemetry.facts import Facts, Query
    from shipper.transform.port import Pipeline

_STDOUT_POLICY: Final = BatchPolicy(max_age_s=0.5, max_size=1024 * 1024)


@asynccontextmanager
async def parts(
    settings: Settings, sight: Sight | None = None, hide: Callable[[str], str] = str
) -> AsyncIterator[Daemon]:
    """Everything built and opened, in the order in which it must close again. `hide` takes secrets out of texts."""
    sight = sight or Sight()
    meter = PrometheusMeter(sinks=tuple(settings.sinks), heard=sight.counts.heard())
    liveness = Liveness(meter)
    readiness = Readiness({CONNECTED: "no answer from the platform yet", WRITABLE: "the buffer is not open"})
    async with AsyncExitStack() as stack:
        buffer = await open_buffer(settings, meter, sight.gaps.append)
        stack.push_async_callback(buffer.close)
        readiness.met(WRITABLE)
        telemetry = None
        if settings.telemetry.listen is not None:
            address = settings.telemetry.listen
            telemetry = await stack.enter_async_context(
                TelemetryServer(
                    address.host, address.port, meter=meter, liveness=liveness, readiness=readiness
                )
            )
        workers = []
        for name, sink_settings in settings.sinks.items():
            sink = make_sink(name, sink_settings)
            await sink.open()
            stack.push_async_callback(sink.aclose)
            pipeline = pipeline_of(settings, sink)
            workers.append(Worker(sink, buffer, policy(sink_settings), meter, pipeline=pipeline))
        platform = connect(settings.ignite, meter)
        stack.push_async_callback(platform.aclose)
        # What does not compress at all still has to fit into one commit to a small buffer.
        intake = Intake(
            buffer, frame_codec(settings), meter, hold_at=min(HOLD_AT, buffer.largest_commit // 2)
        )
        intake.noticed = sight.gaps.append
        collector = Collector(
            Selection(settings.ignite.organization, settings.apps.include, settings.apps.exclude),
            Context(platform, intake, meter, States(meter)),
            settings.collect.poll_interval,
            follow_logs=settings.collect.logs,
            follow_events=settings.collect.events,
            cursors=await buffer.cursors(),
        )
        control = ControlServer(settings.buffer.path, letter_calls(buffer.letters))
        daemon = Daemon(meter, platform, buffer, workers, intake, collector, liveness, readiness, control)
        if telemetry is not None:
            telemetry.show(lambda query: look(daemon, settings, sight, query), hide)
        yield daemon


def look(daemon: Daemon, settings: Settings, sight: Sight, query: Query) -> Facts:
    """What the status shows."""
    from shipper.daemon.gathering import gather  # where nobody looks, it is not loaded

    return gather(daemon, settings, sight, query)


async def open_buffer(
    settings: Settings, meter: Meter, noticed: Callable[[Gap], None] | None = None
) -> Buffer:
    """The buffer that the settings name, as the daemon and the commands use it."""
    return await Buffer.open(
        settings.buffer.path,
        max_size=settings.buffer.max_size,
        when_full=WhenFull(settings.buffer.when_full),
        sinks=tuple(settings.sinks),
        meter=meter,
        codec=frame_codec(settings),
        route=routing(settings),
        noticed=noticed,
    )


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
        sink.compression
        for sink in settings.sinks.values()
        if isinstance(sink, (S3Settings, DirectorySettings))
    )
    return wanted.most_common(1)[0][0] if wanted else Codec.ZSTD


def policy(settings: SinkSettings) -> BatchPolicy:
    """When a sink's batches are sealed."""
    if isinstance(settings, StdoutSettings):
        return _STDOUT_POLICY
    return BatchPolicy(max_age_s=settings.batch.max_age, max_size=settings.batch.max_size)
