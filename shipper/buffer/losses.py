"""Losses of the buffer as gap records: what was lost, for which sinks, said once for each app and kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shipper.buffer.frames import gap_frames, gap_partition
from shipper.buffer.routing import Router
from shipper.model import App, Codec, Frame, Gap, GapReason, Kind, Partition


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of one partition that the sinks behind `bits` will not get. `records` is None if they cannot
    be counted.
    """

    partition: Partition
    bits: int
    records: int | None
    first_ms: int
    last_ms: int

    def plus(self, other: Loss) -> Loss:
        """Both, as one loss of the former's partition and sinks."""
        known = self.records is not None and other.records is not None
        return Loss(
            self.partition,
            self.bits,
            (self.records or 0) + (other.records or 0) if known else None,
            min(self.first_ms, other.first_ms),
            max(self.last_ms, other.last_ms),
        )


@dataclass(frozen=True, slots=True)
class Routed:
    """A frame and the bits of the sinks that it is for; without any it is counted and not stored."""

    frame: Frame
    bits: int


def by_partition(losses: Iterable[Loss]) -> list[Loss]:
    """One loss for each partition and set of sinks."""
    merged: dict[tuple[Partition, int], Loss] = {}
    for loss in losses:
        key = (loss.partition, loss.bits)
        merged[key] = merged[key].plus(loss) if key in merged else loss
    return list(merged.values())


def gaps_of(losses: Iterable[Loss], reason: GapReason, noticed_ms: int, detail: str) -> list[tuple[Gap, int]]:
    """One gap for each app, kind and set of sinks, with the bits of those sinks."""
    merged: dict[tuple[App, Kind, int], Loss] = {}
    for loss in losses:
        where = loss.partition
        key = (App(where.organization, where.app), where.kind, loss.bits)
        merged[key] = merged[key].plus(loss) if key in merged else loss
    return [
        (Gap(noticed_ms, app, "", kind, loss.first_ms, loss.last_ms, reason, detail, loss.records), bits)
        for (app, kind, bits), loss in merged.items()
    ]


def routed_gaps(gaps: Iterable[tuple[Gap, int]], router: Router, codec: Codec) -> list[Routed]:
    """The gaps as frames for the sinks that lost something and get gap records of the app; some for no sink."""
    by_bits: dict[int, list[Gap]] = {}
    for gap, bits in gaps:
        by_bits.setdefault(router.bits_of_gaps(gap_partition(gap), bits), []).append(gap)
    return [Routed(frame, bits) for bits, group in by_bits.items() for frame in gap_frames(group, codec)]
