"""The port through which every room counts; telemetry implements it, so that no room depends on telemetry."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Counts, levels and observations by the names of `telemetry.metrics.SERIES`, without the `shipper_` prefix.

    `labels` are the values of the series' labels in their declared order. A name that is not declared raises KeyError.
    Calls are cheap (about a microsecond), never block and never raise for a declared name; make them per chunk or
    batch, not per record.
    """

    def count(self, series: str, by: float = 1, *labels: str) -> None:
        """Add `by` to a counter, for example `meter.count("records_received_total", 200, "logs")`."""

    def level(self, series: str, value: float, *labels: str) -> None:
        """Set a gauge."""

    def observe(self, series: str, value: float, *labels: str) -> None:
        """Add one observation to a histogram."""

    def forget(self, series: str, *labels: str) -> None:
        """Stop exposing a gauge's label set, for example of an app that is gone. An unknown one is no error."""


class Unmetered:
    """A meter that counts for nobody, for commands."""

    def count(self, series: str, by: float = 1, *labels: str) -> None:
        """Nothing."""

    def level(self, series: str, value: float, *labels: str) -> None:
        """Nothing."""

    def observe(self, series: str, value: float, *labels: str) -> None:
        """Nothing."""

    def forget(self, series: str, *labels: str) -> None:
        """Nothing."""
