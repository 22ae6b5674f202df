"""Whether records that a destination refuses are bad, or the destination refuses everything: pure decisions.

A wrong address or a proxy that answers 400 to everything must not turn the buffer into dead letters; a few bad records
must not stop the rest. What tells the two apart is whether anything else is accepted. So a record that was refused by
itself is buried when something is accepted after it, or when there are but a FEW such records in a row (MANY where
the attempt had something accepted before). Where there are more, the attempt is doubtful: the batch waits while others
are tried, and is asked about again. If nothing else is accepted meanwhile, the sink is parked and nothing is buried.
If it is, the batch may bury more, and each time four times as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shipper.deliver.retry import Draw

FEW: Final = 3
"""This many records refused by themselves, one after the other, are no coincidence."""
MANY: Final = 12
"""Nor are so many where others of the batch were accepted a moment before."""
PATIENCE: Final = 8
"""After so many refused parcels in a row, halves are no longer tried: single records tell sooner."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a destination's latest answers say. `acceptances` counts parcels since the start; `refused` and `singles`
    the parcels, and the single records among them, that were refused since the last acceptance.
    """

    acceptances: int = 0
    refused: int = 0
    singles: int = 0
    doubted: int = -1

    def accepted(self) -> Doubt:
        """A parcel was delivered."""
        return replace(self, acceptances=self.acceptances + 1, refused=0, singles=0)

    def refused_parcel(self, entries: int) -> Doubt:
        """A parcel of so many entries was refused for what is in it."""
        return replace(self, refused=self.refused + 1, singles=self.singles + (entries == 1))

    def doubtful(self) -> Doubt:
        """An attempt ended in doubt."""
        return replace(self, doubted=self.acceptances)

    @property
    def stands(self) -> bool:
        """Whether an attempt ended in doubt and nothing was accepted since: then it is not the records."""
        return self.doubted == self.acceptances

    @property
    def suspicious(self) -> bool:
        """Whether to ask with single records."""
        return self.refused >= PATIENCE


@dataclass(frozen=True, slots=True)
class Trial:
    """A batch that was in doubt: how often others were accepted after it, and how many had been when it last was."""

    times: int = 0
    acceptances: int = 0

    def allowed(self, doubt: Doubt, *, moved: bool) -> int:
        """How many records in a row are too many; `moved`: something was accepted in this attempt."""
        usual = MANY if moved else FEW
        return max(usual, FEW << 2 * self.times) if self.cleared(doubt) else usual

    def doubtful(self, doubt: Doubt) -> Trial:
        """After one more attempt that ended in doubt."""
        times = self.times + 1 if self.times == 0 or self.cleared(doubt) else self.times
        return Trial(min(times, 12), doubt.acceptances)

    def cleared(self, doubt: Doubt) -> bool:
        """Whether the destination took something since the batch was in doubt: it is not the destination."""
        return self.times > 0 and doubt.acceptances > self.acceptances


def cuts(entries: int, *, suspicious: bool, draw: Draw) -> Sequence[tuple[int, int]]:
    """Where to cut a refused parcel of at least two entries: in halves, or around a single one anywhere in it.

    A drawn one, since the same three bad records must not speak for all of them at every attempt.
    """
    if not suspicious:
        return ((0, entries // 2), (entries // 2, entries))
    one = min(int(draw() * entries), entries - 1)
    return tuple(part for part in ((0, one), (one, one + 1), (one + 1, entries)) if part[0] < part[1])
