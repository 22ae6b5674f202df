"""One run of the daemon: from settings to an exit status."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from shipper import __version__
from shipper.config.secret import secrets_in
from shipper.config.settings import Settings
from shipper.daemon.parts import parts
from shipper.daemon.sight import Sight
from shipper.daemon.signals import Stop
from shipper.errors import ShipperError
from shipper.heap import give_back, leave_alone_what_is_there, share_one_arena
from shipper.telemetry.crashes import reported
from shipper.telemetry.levels import show_fill
from shipper.telemetry.log import Logging, configure, on_loop_exception

log = logging.getLogger("shipper.daemon")


async def run(settings: Settings, *, config_path: Path) -> int:
    """Run until a signal; the exit status. The configuration is valid; what fails from here on is logged."""
    share_one_arena()
    logging_ = configure(settings.log.format, settings.log.level, secrets=secrets_in(settings))
    asyncio.get_running_loop().set_exception_handler(on_loop_exception)
    try:
        with reported(settings.telemetry.sentry_dsn, logging_.redaction):
            log.info("shipper %s starts", __version__, extra={"config": str(config_path), "pid": os.getpid()})
            return await _run(settings, logging_, Sight(config_file=str(config_path)))
    except (ShipperError, OSError) as error:
        log.error("shipper cannot run: %s", error)  # noqa: TRY400 - the message says it all
        return 1
    finally:
        logging_.close()


async def _run(settings: Settings, logging_: Logging, sight: Sight) -> int:
    stop = Stop()
    with stop.listening():
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
            try:
                return await daemon.serve(stop, settings.shutdown.timeout)
            finally:
                for task in beside:
                    task.cancel()
