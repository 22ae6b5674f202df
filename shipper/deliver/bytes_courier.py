"""The way of a batch to a sink that takes bytes: as it lies in the buffer, or rewritten by a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shipper.archive.codec import compress
from shipper.deliver.attempt import broken, described, send_batch
from shipper.deliver.courier import Delivery, Load, Watch
from shipper.deliver.report import Report
from shipper.deliver.slices import slices
from shipper.errors import ArchiveDamaged
from shipper.model import Batch
from shipper.sinks.port import Delivered, Outcome, Rejected, Sink
from shipper.transform.port import Ending, Pipeline

FRAME: Final = 1024 * 1024
"""Bytes of NDJSON in one frame of a rewritten batch."""


@dataclass(frozen=True, slots=True)
class _Rewritten:
    batch: Batch
    frames: Sequence[bytes]
    ending: Ending


class BytesCourier:
    """Sends each batch whole. Without a pipeline that rewrites, nothing is decoded."""

    def __init__(
        self, sink: Sink, report: Report, *, deadline_s: float, pipeline: Pipeline | None = None
    ) -> None:
        self._sink = sink
        self._report = report
        self._deadline_s = deadline_s
        self._pipeline = pipeline

    async def deliver(self, load: Load, watch: Watch) -> Delivery:
        """One attempt."""
        began = asyncio.get_running_loop().time()
        if self._pipeline is None or not self._pipeline.touches(load.batch.partition):
            outcome = await self._send(load.batch, load.frames, began)
            ending = Ending() if load.state else None  # what another configuration left is over
            moved = isinstance(outcome, Delivered)
            return Delivery(
                outcome, began, load.batch, records=load.batch.records, ending=ending, moved=moved
            )
        try:
            rewritten = await _rewrite(self._pipeline, load)
        except ArchiveDamaged as error:
            return Delivery(Rejected(f"a frame cannot be unpacked: {error}"), began, load.batch)
        except Exception as error:
            what = f"the pipeline failed: {described(error)}"
            return Delivery(broken((self._sink.name, load.batch.name), what, error), began, load.batch)
        began = asyncio.get_running_loop().time()
        outcome, moved = Delivered(), False
        if rewritten.frames:
            outcome = await self._send(rewritten.batch, rewritten.frames, began)
            moved = isinstance(outcome, Delivered)
        records = rewritten.batch.records
        return Delivery(outcome, began, load.batch, records=records, ending=rewritten.ending, moved=moved)

    async def _send(self, batch: Batch, frames: Sequence[bytes], began: float) -> Outcome:
        outcome = await send_batch(self._sink, batch, frames, deadline_s=self._deadline_s)
        self._report.attempted(outcome, asyncio.get_running_loop().time() - began)
        return outcome


async def _rewrite(pipeline: Pipeline, load: Load) -> _Rewritten:
    """The batch as it may leave, in its own codec. The same load and plan give the same bytes.

    What a pipeline would hold back goes with its batch: an archive has its lines in the hour's own objects.
    """
    step = pipeline.start(load.batch.partition, load.state)
    frames: list[bytes] = []
    waiting: list[bytes] = []
    records = 0
    for ndjson in slices(load.batch.codec, load.frames):
        entries = step.feed(ndjson)
        records += sum(entry.lines for entry in entries)
        waiting.append(pipeline.encode(entries))
        if sum(map(len, waiting)) >= FRAME:
            await _pack(load.batch, waiting, frames)
        await asyncio.sleep(0)
    entries = step.flush()
    records += sum(entry.lines for entry in entries)
    waiting.append(pipeline.encode(entries))
    await _pack(load.batch, waiting, frames)
    batch = replace(load.batch, records=records, size=sum(map(len, frames)))
    return _Rewritten(batch, frames, step.finish())


async def _pack(batch: Batch, waiting: list[bytes], frames: list[bytes]) -> None:
    """Compress what waits, in a thread: gzip takes fifty milliseconds for a mebibyte."""
    data = b"".join(waiting)
    waiting.clear()
    if data:
        frames.append(await asyncio.to_thread(compress, batch.codec, data))
