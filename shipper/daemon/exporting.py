"""The export of metrics, which can be given another receiver."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from shipper.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from shipper.config.otlp import OtlpSettings


class Exporting:
    """Pushes metrics until it is told to push none or `group` ends. Counters count from when this was made."""

    def __init__(self, group: asyncio.TaskGroup, meter: PrometheusMeter) -> None:
        self._group = group
        self._meter = meter
        self._began = time.time()
        self._task: asyncio.Task[None] | None = None

    def begin(self, settings: OtlpSettings | None) -> None:
        """From now on push there, and to no other receiver; None is none."""
        if self._task is not None:
            self._task.cancel()
        self._task = None
        if settings is not None:
            from shipper.telemetry.otlp import OtlpExport  # for who exports alone

            export = OtlpExport(settings, self._meter.collect, began=self._began)
            self._task = self._group.create_task(export.run(), name="OTLP export")
