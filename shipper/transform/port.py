"""What happens to records between the buffer and a sink, as delivery sees it: a fold over a partition's batches.

A pipeline is pure: the same plan, state and bytes give the same entries. So a batch can be tried again after a failure
or a restart, and how lines were cut into batches does not show. What it holds back of a batch (the open end of a stack
trace, the counts of a throttle) is its state, which delivery stores in the commit that acknowledges the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shipper.entry import Entry
from shipper.model import Partition


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left when a pass is over.

    `state` is for the next pass over the same partition, empty where there is nothing to keep. `held` counts the
    records in it that are in no entry yet; they are to be flushed when nothing more has come for `hold_s` seconds.
    `dropped` counts by reason (`filtered`, `sampled`, `throttled`, `no_route`) the records that became no entry here,
    `redacted` by pattern what was taken out. `elsewhere` counts the records that routes send to other sinks alone, and
    losses that another sink counts. All of them count what `feed` and `flush` of this pass did.
    """

    state: bytes = b""
    held: int = 0
    hold_s: float = 0.0
    dropped: Mapping[str, int] = field(default_factory=dict)
    redacted: Mapping[str, int] = field(default_factory=dict)
    elsewhere: int = 0


class Pass(Protocol):
    """One batch on its way through a pipeline."""

    def feed(self, ndjson: bytes) -> list[Entry]:
        """The entries that these whole lines complete, in order. Lines that cannot be decoded are fed to nobody and
        counted as dropped (`undecodable`).
        """

    def flush(self) -> list[Entry]:
        """What is held back, as it is: nothing more will come."""

    def finish(self) -> Ending:
        """The end of the pass."""


class Pipeline(Protocol):
    """Everything that a sink's records go through. Held in one task at a time for one partition.

    `plan` names all that decides what comes out (a digest of the settings): progress within a batch counts only under
    the same plan. `rewrites` says whether anything may come out other than it went in; where it is False, a sink of
    bytes gets its frames as they lie in the buffer, and nothing is decoded.
    """

    plan: str
    rewrites: bool

    def touches(self, partition: Partition) -> bool:
        """Where it rewrites: whether anything of this partition may come out other than it went in."""

    def start(self, partition: Partition, state: bytes) -> Pass:
        """Begin with what the pass before left (empty at the start; unreadable state counts as empty)."""

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Entries as NDJSON of the archive's contract, for a sink of bytes. The same entries give the same bytes."""
