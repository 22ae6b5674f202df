"""What one run does, drawn from its seed: which sinks, which faults, when, and how the platform behaves."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from shipper.emulator import ReplayOrder
from tests.chaos.catalogue import FAULTS, FaultKind

PRINT_S: Final = 6.0  # how long the apps print once all are followed
FIRST_S: Final = 0.1  # after every replica has a line in an archive
ALONE: Final = 0.5  # of the runs have one kind of fault
STORM: Final = 0.15  # have five to eight, the others two to four


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault at one moment, in seconds since all replicas are followed."""

    fault: str
    at_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A function of the seed alone. What a machine makes of it differs: a real process has its own time."""

    seed: int
    sinks: tuple[str, ...]
    injections: tuple[Injection, ...]
    apps: int
    replicas: int
    rate: float  # lines a second, of all
    renumber: int | None
    replay_order: ReplayOrder
    stream_cap: int | None
    when_full: str
    store: str

    @property
    def faults(self) -> tuple[str, ...]:
        """The kinds of faults, in alphabetical order."""
        return tuple(sorted({injection.fault for injection in self.injections}))

    def has(self, fault: str) -> bool:
        """Whether a kind of fault is in the plan."""
        return fault in self.faults


def draw(seed: int, faults: tuple[str, ...] = ()) -> Plan:
    """The plan of a seed. Seeds that follow each other go through all kinds of faults; `faults` asks for others."""
    rng = random.Random(f"chaos-{seed}")
    names = faults or _choose(seed, rng)
    kinds = [FAULTS[name] for name in names]
    injections = [_place(kind, rng) for kind in kinds]
    return Plan(
        seed=seed,
        sinks=_sinks(kinds, rng),
        injections=tuple(sorted(injections, key=lambda injection: injection.at_s)),
        apps=rng.randint(1, 3),
        replicas=rng.randint(1, 3),
        rate=float(rng.choice([60, 200, 500])),
        renumber=rng.choice([None, rng.randint(1, 99)]),
        replay_order=ReplayOrder.SHUFFLED
        if "reordering" in names
        else rng.choice([ReplayOrder.TIME, ReplayOrder.ARRIVAL]),
        stream_cap=rng.randint(2, 4) if "stream_cap" in names else None,
        when_full="drop_oldest" if "buffer_full_drop" in names else "block",
        store=rng.choice(["moto", "versitygw"]),
    )


def _choose(seed: int, rng: random.Random) -> tuple[str, ...]:
    names = sorted(FAULTS)
    chosen = [names[seed % len(names)]]
    share = rng.random()
    if share >= ALONE:
        others = rng.randint(4, 7) if share >= 1 - STORM else rng.randint(1, 3)
        for other in rng.sample(names, len(names)):
            if len(chosen) > others:
                break
            if other not in chosen and all(FAULTS[other].goes_with(FAULTS[one]) for one in chosen):
                chosen.append(other)
    return tuple(chosen)


def _place(kind: FaultKind, rng: random.Random) -> Injection:
    return Injection(kind.name, round(rng.uniform(FIRST_S, PRINT_S - kind.takes_s), 3), rng.randrange(2**32))


def _sinks(kinds: list[FaultKind], rng: random.Random) -> tuple[str, ...]:
    """At least one archive, and every sink that a fault is about."""
    sinks = {rng.choice(["directory", "s3"])}
    sinks |= {name for name in ("directory", "s3", "datadog", "sentry") if rng.random() < 0.4}
    for kind in kinds:
        if kind.only:
            sinks = set(kind.only)
        sinks |= kind.needs
    return tuple(sorted(sinks))
