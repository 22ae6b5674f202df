"""Pushed metrics go to the receiver that is configured, whichever that is at the moment."""

from __future__ import annotations

import asyncio

from shipper.config.otlp import OtlpSettings
from shipper.daemon.exporting import Exporting
from shipper.telemetry.prometheus import PrometheusMeter
from tests.integration.test_telemetry_otlp import Receiver, receiver


def to(there: Receiver) -> OtlpSettings:
    return OtlpSettings.model_validate({"endpoint": there.endpoint, "interval": "1h"})


async def test_another_receiver_takes_over_and_the_former_gets_the_last_of_its_own() -> None:
    """The counters' beginning is the same for both: they were not reset."""
    async with receiver() as one, receiver() as other:
        async with asyncio.TaskGroup() as group:
            exporting = Exporting(group, PrometheusMeter())
            exporting.begin(None)
            exporting.begin(to(one))
            await asyncio.sleep(0.05)
            exporting.begin(to(other))
            await one.until(1)
            assert other.exports == []
            exporting.begin(None)
            await other.until(1)
        began = {
            point.start_time_unix_nano
            for there in (one, other)
            for metric in there.exports[0].resource_metrics[0].scope_metrics[0].metrics
            for point in metric.sum.data_points
        }
        assert len(began) == 1
