"""The daemon: builds the parts from a configuration, runs them in one tree of tasks, drains.

    telemetry ⊃ delivery ⊃ intake ⊃ collection

Inner parts end first: when a signal says so, collection takes what its streams have brought and stops, intake
commits it, and delivery sends what it can within `shutdown.timeout`. What remains is safe in the buffer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from shipper import __version__
from shipper.buffer import Buffer, WhenFull
from shipper.collect.collector import Collector, Selection
from shipper.collect.context import Context
from shipper.collect.intake import HOLD_AT, Intake
from shipper.collect.states import States
from shipper.config.destinations import DirectorySettings, S3Settings, SinkSettings, StdoutSettings
from shipper.config.secret import secrets_in
from shipper.config.settings import Settings
from shipper.control.letters import letter_calls
from shipper.control.server import ControlServer
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.errors import ShipperError
from shipper.heap import give_back, leave_alone_what_is_there, share_one_arena
from shipper.ignite.connect import connect
from shipper.meter import Meter
from shipper.model import App, Codec, Partition
from shipper.sinks import AnySink, make_sink, takes_records
from shipper.sinks.port import Delivered
from shipper.telemetry.crashes import reported
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.levels import show_fill
from shipper.telemetry.log import Logging, configure, on_loop_exception
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.web import TelemetryServer

if TYPE_CHECKING:
    from shipper.ignite.gateway.platform import HttpPlatform
    from shipper.ignite.grpc import GrpcPlatform
    from shipper.transform.port import Pipeline

log = logging.getLogger("shipper.daemon")

T = TypeVar("T")

LAST_RESORT_S: Final = (
    10.0  # beyond shutdown.timeout: something swallowed its cancellation, and the data is safe
)
LEVELS_EVERY_S: Final = 2.0
CONNECTED: Final = "platform"
WRITABLE: Final = "buffer"
_STDOUT_POLICY: Final = BatchPolicy(max_age_s=0.5, max_size=1024 * 1024)


async def run(settings: Settings, *, config_path: Path) -> int:
    """Run until a signal; the exit status. The configuration is valid; what fails from here on is logged."""
    share_one_arena()
    logging_ = configure(settings.log.format, settings.log.level, secrets=secrets_in(settings))
    asyncio.get_running_loop().set_exception_handler(on_loop_exception)
    try:
        with reported(settings.telemetry.sentry_dsn, logging_.redaction):
            log.info("shipper %s starts", __version__, extra={"config": str(config_path), "pid": os.getpid()})
            return await _run(settings, logging_)
    except (ShipperError, OSError) as error:
        log.error("shipper cannot run: %s", error)  # noqa: TRY400 - the message says it all
        return 1
    finally:
        logging_.close()


async def _run(settings: Settings, logging_: Logging) -> int:
    stop = Stop()
    with stop.listening():
        async with _parts(settings) as daemon, asyncio.TaskGroup() as background:
            leave_alone_what_is_there()
            logging_.count_suppressed(lambda lines: daemon.meter.count("log_lines_suppressed_total", lines))
            beside = [
                background.create_task(daemon.liveness.run(), name="liveness"),
                background.create_task(logging_.run(), name="log"),
                background.create_task(give_back(), name="heap"),
                background.create_task(daemon.show_connections(), name="connection gauges"),
                background.create_task(daemon.control.run(), name="control"),
                background.create_task(show_fill(daemon.buffer.stats, daemon.meter), name="buffer gauges"),
            ]
            try:
                return await daemon.serve(stop, settings.shutdown.timeout)
            finally:
                for task in beside:
                    task.cancel()


@dataclass(slots=True)
class Stop:
    """SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def listening(self) -> _Listening:
        """Handles the signals while the context lasts."""
        return _Listening(self)

    def signalled(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            log.error(
                "%s again: shipper ends at once; what is not delivered is safe in the buffer", number.name
            )
            os._exit(1)
        log.info("%s: draining", number.name)
        self.asked.set()


@dataclass(frozen=True, slots=True)
class _Listening:
    stop: Stop

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.signalled, number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@dataclass(slots=True)
class Daemon:
    """The parts, ready to run."""

    meter: PrometheusMeter
    platform: GrpcPlatform | HttpPlatform
    buffer: Buffer
    workers: Sequence[Worker]
    intake: Intake
    collector: Collector
    liveness: Liveness
    readiness: Readiness
    control: ControlServer

    async def show_connections(self) -> None:
        """Set the gauges of the platform's connections again and again, until cancelled."""
        while True:
            lanes = self.platform.lanes
            self.meter.level("stream_lanes", len(lanes))
            self.meter.level("streams_open", lanes.open)
            await asyncio.sleep(LEVELS_EVERY_S)

    async def serve(self, stop: Stop, shutdown_timeout_s: float) -> int:
        """Collect and deliver until asked to stop, then drain; 1 where something made going on impossible."""
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as delivery:
            for worker in self.workers:
                delivery.create_task(worker.run(), name=f"deliver {worker.sink.name}")
            async with asyncio.TaskGroup() as intake:
                committing = intake.create_task(self.intake.run(), name="intake")
                failure = await self._collect_until(stop.asked)
                last_resort = _last_resort(shutdown_timeout_s)
                deadline = asyncio.get_running_loop().time() + shutdown_timeout_s
                await self._commit_rest(committing, deadline)
            await self._deliver_rest(deadline)
        last_resort.cancel()
        return 0 if failure is None else 1

    async def _collect_until(self, asked: asyncio.Event) -> BaseException | None:
        """Collect until asked to stop; the error, where collection cannot go on."""
        try:
            async with asyncio.TaskGroup() as collection:
                tasks = [
                    collection.create_task(self.collector.run(), name="collect"),
                    collection.create_task(self._watch_readiness(), name="readiness"),
                ]
                await asked.wait()
                await self.collector.drain()
                for task in tasks:
                    task.cancel()
        except ExceptionGroup as failure:
            for error in _leaves(failure):
                expected = isinstance(error, ShipperError)
                log.error("collection stops: %s", error, exc_info=None if expected else error)  # noqa: TRY400
            return failure
        return None

    async def _watch_readiness(self) -> None:
        await self.collector.ready.wait()
        self.readiness.met(CONNECTED)

    async def _commit_rest(self, committing: asyncio.Task[None], deadline: float) -> None:
        """Commit what is pending. A buffer that takes nothing must not hold the exit: the platform can replay it."""
        await self.intake.close()
        await asyncio.wait({committing}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if not committing.done():
            log.error("the last records could not be committed; they are read again at the next start")
            committing.cancel()

    async def _deliver_rest(self, deadline: float) -> None:
        left = await asyncio.gather(*(worker.drain(deadline) for worker in self.workers))
        for worker, records in zip(self.workers, left, strict=True):
            if records:
                log.warning(
                    "records remain in the buffer and are delivered at the next start",
                    extra={"sink": worker.sink.name, "records": records},
                )
        if not any(left):
            log.info("drained: everything collected is delivered")


def _last_resort(shutdown_timeout_s: float) -> threading.Timer:
    """Ends the process when a drain hangs; everything that matters is on disk by then."""
    timer = threading.Timer(shutdown_timeout_s + LAST_RESORT_S, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
    return timer


def _leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [] if error is None else [error]


# ---- building ----


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Daemon]:
    """Everything built and opened, in the order in which it must close again."""
    meter = PrometheusMeter(sinks=tuple(settings.sinks))
    liveness = Liveness(meter)
    readiness = Readiness({CONNECTED: "no answer from the platform yet", WRITABLE: "the buffer is not open"})
    async with AsyncExitStack() as stack:
        buffer = await open_buffer(settings, meter)
        stack.push_async_callback(buffer.close)
        readiness.met(WRITABLE)
        if settings.telemetry.listen is not None:
            address = settings.telemetry.listen
            await stack.enter_async_context(
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
        collector = Collector(
            Selection(settings.ignite.organization, settings.apps.include, settings.apps.exclude),
            Context(platform, intake, meter, States(meter)),
            settings.collect.poll_interval,
            follow_logs=settings.collect.logs,
            follow_events=settings.collect.events,
            cursors=await buffer.cursors(),
        )
        control = ControlServer(settings.buffer.path, letter_calls(buffer.letters))
        yield Daemon(meter, platform, buffer, workers, intake, collector, liveness, readiness, control)


async def open_buffer(settings: Settings, meter: Meter) -> Buffer:
    """The buffer that the settings name, as the daemon and the commands use it."""
    return await Buffer.open(
        settings.buffer.path,
        max_size=settings.buffer.max_size,
        when_full=WhenFull(settings.buffer.when_full),
        sinks=tuple(settings.sinks),
        meter=meter,
        codec=frame_codec(settings),
        route=routing(settings),
    )


def routing(settings: Settings) -> Callable[[Partition], frozenset[str]] | None:
    """Which sinks get a partition, for the buffer; None where every sink gets every record."""
    if not settings.routes:
        return None
    from shipper.transform.building import (
        build_routes,
    )  # here and below: only who transforms records loads it

    return build_routes(settings).sinks_of


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


# ---- shipper check --connect ----


async def connect_report(settings: Settings) -> list[tuple[str, bool, str]]:
    """Try the platform and every sink once: (what, whether it works, what was seen or what to do)."""
    report: list[tuple[str, bool, str]] = []
    platform = connect(settings.ignite)
    try:
        await _try(
            report,
            "token",
            platform.tokens.token,
            lambda token: "none is sent" if token is None else "obtained",
        )
        await _try(
            report,
            "platform",
            platform.dialect,
            str,
        )
        selection = Selection(settings.ignite.organization, settings.apps.include, settings.apps.exclude)
        names = sorted(selection.exact())
        if selection.needs_listing:
            listed = await _try(report, "ListApps", platform.list_apps, lambda apps: f"{len(apps)} apps")
            names = sorted(selection.choose(listed or []) | selection.exact())
        if names:
            app = App(settings.ignite.organization, names[0])
            await _try(
                report,
                f"ListAppReplicas {app}",
                lambda: platform.list_replicas(app),
                lambda replicas: f"{len(replicas)} replicas",
            )
    finally:
        await platform.aclose()
    for name, sink_settings in settings.sinks.items():
        report.append(await _try_sink(make_sink(name, sink_settings)))
    return report


async def _try(
    report: list[tuple[str, bool, str]],
    what: str,
    call: Callable[[], Awaitable[T]],
    describe: Callable[[T], str],
) -> T | None:
    try:
        answer = await call()
    except ShipperError as error:
        report.append((what, False, str(error)))
        return None
    report.append((what, True, describe(answer)))
    return answer


async def _try_sink(sink: AnySink) -> tuple[str, bool, str]:
    what = f"sink {sink.name}"
    try:
        await sink.open()
        outcome = await sink.check()
    except OSError as error:
        return what, False, str(error)
    finally:
        await sink.aclose()
    if isinstance(outcome, Delivered):
        return what, True, outcome.detail or "reachable"
    return what, False, outcome.reason
