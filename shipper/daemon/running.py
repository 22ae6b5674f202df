"""One run of the daemon: from settings to an exit status."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from shipper import __version__
from shipper.config.secret import secrets_in
from shipper.daemon.applying import apply
from shipper.daemon.changes import Changes, Version
from shipper.daemon.exporting import Exporting
from shipper.daemon.parts import parts
from shipper.daemon.reloading import Apply, Reloading
from shipper.daemon.serving import Daemon
from shipper.daemon.sight import Sight
from shipper.daemon.signals import Signals
from shipper.errors import ShipperError
from shipper.heap import give_back, leave_alone_what_is_there, look_again, share_one_arena
from shipper.telemetry.crashes import reported
from shipper.telemetry.levels import show_fill
from shipper.telemetry.log import Logging, configure, on_loop_exception

log = logging.getLogger("shipper.daemon")

SETTLED_S: Final = 60.0  # after a reload: by then what was exchanged is gone


async def run(version: Version, *, config_path: Path, watch: bool = True) -> int:
    """Run until a signal; the exit status. The configuration is valid; what fails from here on is logged.

    With `watch` it is read again when a file changes, else on SIGHUP alone.
    """
    share_one_arena()
    settings = version.settings
    logging_ = configure(settings.log.format, settings.log.level, secrets=secrets_in(settings))
    asyncio.get_running_loop().set_exception_handler(on_loop_exception)
    try:
        with reported(settings.telemetry.sentry_dsn, logging_.redaction):
            log.info("shipper %s starts", __version__, extra={"config": str(config_path), "pid": os.getpid()})
            return await _run(version, logging_, Sight(config_file=str(config_path)), watch=watch)
    except (ShipperError, OSError) as error:
        log.error("shipper cannot run: %s", error)  # noqa: TRY400 - the message says it all
        return 1
    finally:
        logging_.close()


async def _run(version: Version, logging_: Logging, sight: Sight, *, watch: bool) -> int:
    settings = version.settings
    signals = Signals()
    with signals.heeded():
        async with (
            parts(settings, sight, logging_.redaction.apply) as daemon,
            asyncio.TaskGroup() as background,
        ):
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
            exporting = Exporting(background, daemon.meter)
            exporting.begin(settings.telemetry.otlp)
            reloading = Reloading(
                file=Path(sight.config_file),
                in_force=version,
                apply=_applying(daemon, logging_, exporting),
                asked=signals.reload,
                meter=daemon.meter,
                told=sight.reloaded,
                watches=watch,
            )
            try:
                return await daemon.serve(signals, reloading)
            finally:
                exporting.begin(None)
                for task in beside:
                    task.cancel()


def _applying(daemon: Daemon, logging_: Logging, exporting: Exporting) -> Apply:
    settled: asyncio.TimerHandle | None = None

    async def in_force(before: Version, after: Version, changes: Changes) -> None:
        nonlocal settled
        for secret in secrets_in(after.settings):
            logging_.redaction.add(secret)
        await apply(daemon, before, after, changes)
        if changes.log:
            logging_.change(after.settings.log.format, after.settings.log.level)
        if changes.export:
            exporting.begin(after.settings.telemetry.otlp)
        look_again()
        if settled is not None:
            settled.cancel()
        settled = asyncio.get_running_loop().call_later(SETTLED_S, leave_alone_what_is_there)

    return in_force
