"""Courses of a room, each cut at every way to wait that no course before it has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from tests.cancelling import Site, Watch, Way, sites_in

W = TypeVar("W")

TRIES: Final = 3  # a way that depends on the order of a set may not come again at once
NEVER_WAITS: Final = "async with asyncio.timeout"


@dataclass
class Cutting(Generic[W]):
    """`lives` runs a course, cut where something first waits in the ways it is given, with the runs after it; `judge`
    fails if what is left then is not what it must be. What was found out is kept: one test's work is another's too.
    """

    room: str
    courses: Collection[str]
    lives: Callable[..., tuple[Watch, W]]
    judge: Callable[[W, str], None]
    _ways: dict[str, list[Way]] = field(default_factory=dict)
    _cut: dict[str, frozenset[Site]] = field(default_factory=dict)

    def ways(self) -> dict[str, list[Way]]:
        """By course, the ways to wait that no course before it has."""
        known: set[Way] = set()
        for course in self.courses if not self._ways else ():
            seen = self.lives(course)[0].ways
            self._ways[course] = [way for way in seen if way not in known]
            known |= seen.keys()
        return self._ways

    def cut(self, course: str) -> frozenset[Site]:
        """Cut the course at each of its ways to wait, and judge what is left; the awaits that were cancelled."""
        if course not in self._cut:
            cancelled: set[Site] = set()
            for way in self.ways()[course]:
                cancelled |= self._cut_at(course, way)
            self._cut[course] = frozenset(cancelled)
        return self._cut[course]

    def left(self) -> list[str]:
        """The awaits of the room that no course has cancelled, but those that never wait themselves."""
        cancelled = {site for course in self.courses for site in self.cut(course)}
        return [
            str(site)
            for site in sorted(sites_in(self.room) - cancelled)
            if not site.text.startswith(NEVER_WAITS)
        ]

    def _cut_at(self, course: str, way: Way) -> set[Site]:
        for _ in range(TRIES):
            watch, world = self.lives(course, way)
            self.judge(world, " < ".join(map(str, reversed(way))))
            if watch.hit:
                return {*way, *self._cut_while_it_ends(course, way, watch)}
        return set()

    def _cut_while_it_ends(self, course: str, way: Way, watch: Watch) -> set[Site]:
        """What waits only in a run that is cut already is cancelled too."""
        usual = {site for found in self.ways().values() for each in found for site in each}
        cancelled: set[Site] = set()
        for later in watch.later:
            if not usual.issuperset(later) and not cancelled.issuperset(later):
                again, world = self.lives(course, way, later)
                self.judge(world, f"while it ends: {later[-1]}")
                cancelled.update(later if again.hit else ())
        return cancelled
