"""Which courier a sink needs: one for sealed bytes, or one for records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shipper.deliver.bytes_courier import BytesCourier
from shipper.deliver.courier import Courier
from shipper.deliver.patience import Patience
from shipper.deliver.port import Ledger
from shipper.deliver.record_courier import Pacing, RecordCourier
from shipper.deliver.report import Report
from shipper.deliver.retry import Draw
from shipper.sinks import AnySink, takes_records
from shipper.transform.port import Pipeline


@dataclass(frozen=True, slots=True)
class Desk:
    """What couriers write with: the worker's own."""

    ledger: Ledger
    report: Report
    patience: Patience
    now_ms: Callable[[], float]
    draw: Draw
    attempt_s: float


def pipeline_used(sink: AnySink, pipeline: Pipeline | None) -> Pipeline | None:
    """The pipeline, if the sink's records go through it. A sink of bytes does without one that rewrites nothing.

    Raises ValueError for a sink of records without a pipeline.
    """
    if takes_records(sink):
        if pipeline is None:
            raise ValueError(f"the sink {sink.name} takes records: it needs a pipeline that makes them")
        return pipeline
    return pipeline if pipeline is not None and pipeline.rewrites else None


def courier_of(sink: AnySink, used: Pipeline | None, desk: Desk) -> Courier:
    """The sink's courier; `used` is what `pipeline_used` says."""
    if not takes_records(sink):
        return BytesCourier(sink, desk.report, deadline_s=desk.attempt_s, pipeline=used)
    assert used is not None
    return RecordCourier(
        sink,
        used,
        desk.ledger,
        desk.report,
        desk.patience,
        now_ms=desk.now_ms,
        draw=desk.draw,
        pacing=Pacing(deadline_s=desk.attempt_s),
    )
