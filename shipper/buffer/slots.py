"""Slots: which sink is which bit in the set of sinks that a frame is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.buffer.values import Sinks
from shipper.model import Kind

MOST_SINKS: Final = 62  # bits of a signed 64-bit integer, with some to spare


@dataclass(frozen=True, slots=True)
class Slot:
    """A sink. Frames below `from_frame` are not its own, whatever their bits say.

    One that is `retired` left the configuration while the buffer was open: it takes nothing new.
    """

    number: int
    name: str
    kinds: frozenset[Kind] | None
    from_frame: int
    retired: bool = False

    @property
    def bit(self) -> int:
        """The sink's bit."""
        return 1 << self.number

    def takes(self, kind: Kind) -> bool:
        """Whether frames of this kind are routed to the sink."""
        return not self.retired and (self.kinds is None or kind in self.kinds)


class Slots:
    """The sinks: those that are configured, and those that are retired. Immutable."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self._slots = tuple(slots)
        self._by_name = {slot.name: slot for slot in self._slots}
        self._masks = {kind: sum(slot.bit for slot in self._slots if slot.takes(kind)) for kind in Kind}

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def named(self, name: str) -> Slot:
        """Raises KeyError for a sink that is neither configured nor retired."""
        return self._by_name[name]

    def takes_more(self, name: str) -> bool:
        """Whether the sink is configured."""
        return name in self._by_name and not self._by_name[name].retired

    @property
    def everyone(self) -> int:
        """The bits of the configured sinks."""
        return sum(slot.bit for slot in self._slots if not slot.retired)

    def takers(self, kind: Kind) -> int:
        """The bits of the sinks that take this kind."""
        return self._masks[kind]

    def bits(self, names: Iterable[str]) -> int:
        """The bits of those of these names that are configured."""
        return sum(self._by_name[name].bit for name in set(names) if name in self._by_name)

    def get(self, name: str) -> Slot | None:
        """The sink's slot, if it has one."""
        return self._by_name.get(name)

    def names(self, bits: int) -> tuple[str, ...]:
        """The sinks behind bits, in the order of the configuration."""
        return tuple(slot.name for slot in self._slots if slot.bit & bits)


def sinks_of(sinks: Sinks | Sequence[str]) -> Sinks:
    """Names alone mean sinks that take everything."""
    given = dict(sinks) if not isinstance(sinks, Sequence) else dict.fromkeys(sinks)
    if len(given) > MOST_SINKS:
        raise ValueError(f"a buffer serves at most {MOST_SINKS} sinks, {len(given)} were given")
    return given


def assign(
    sinks: Sinks,
    stored: dict[str, tuple[int, int]],
    next_frame: int,
    retired: frozenset[str] = frozenset(),
) -> Slots:
    """Sinks that are known keep their slot; new ones get a free one and only what is committed from now on.

    `stored` maps names to (slot, from_frame). The slot of a sink that is gone may be given away in the same
    step: the new owner's `from_frame` hides the old owner's bits.
    """
    taken = {stored[name][0] for name in sinks if name in stored}
    free = (number for number in range(MOST_SINKS + 1) if number not in taken)
    slots = []
    for name, kinds in sinks.items():
        number, from_frame = stored[name] if name in stored else (next(free), next_frame)
        slots.append(Slot(number, name, kinds, from_frame, name in retired))
    return Slots(slots)
