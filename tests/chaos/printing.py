"""The apps of a run: numbered lines and identical ones, from replicas that faults start, crash and remove."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from shipper.emulator import EmulatedApp, EmulatedReplica, Emulator

TICK_S: Final = 0.04
_APPS: Final = ("checkout", "search", "mailer")


class Printer:
    """Prints on every replica that can, until cancelled. Every numbered line is unique in the run.

    `burst` multiplies the rate, `padding` is how many random characters a line has in addition, and `late_share` of the
    lines have a time of up to a second ago.
    """

    def __init__(self, ignite: Emulator, seed: int, *, apps: int, replicas: int, rate: float) -> None:
        self._ignite = ignite
        self._random = random.Random(f"printer-{seed}")
        self.rate = rate
        self._number = 0
        self.burst = 1.0
        self.padding = 40
        self.late_share = 0.0
        self.hushed: set[str] = set()  # replicas that print nothing but what a fault has them print
        self.apps = [ignite.app(name) for name in _APPS[:apps]]
        for app in self.apps:
            for _ in range(replicas):
                app.start_replica()

    @property
    def replicas(self) -> list[EmulatedReplica]:
        """Those that can print, in a fixed order."""
        every = (replica for app in self.apps for replica in app.replicas.values())
        return [replica for replica in every if replica.printing and replica.replica_id not in self.hushed]

    def choose(self, rng: random.Random) -> EmulatedReplica | None:
        """One of them."""
        replicas = self.replicas
        return rng.choice(replicas) if replicas else None

    def choose_app(self, rng: random.Random) -> EmulatedApp:
        """An app."""
        return rng.choice(self.apps)

    async def run(self) -> None:
        """Print until cancelled."""
        loop = asyncio.get_running_loop()
        owed, before = 0.0, loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            now = loop.time()
            owed, before = min(owed + (now - before) * self.rate * self.burst, 2000.0), now
            replicas = self.replicas
            while replicas and owed >= 1:
                owed -= self.line(self._random.choice(replicas))

    def line(self, replica: EmulatedReplica) -> int:
        """Print one line, or two or three identical ones of the same millisecond; says how many."""
        rng = self._random
        stream = "stderr" if rng.random() < 0.2 else "stdout"
        ts = replica.now_ms()
        if rng.random() < self.late_share:
            ts -= rng.randrange(1000)
        if rng.random() < 0.1:
            times = rng.randint(2, 3)
            for _ in range(times):
                replica.print(f"again and again {replica.replica_id}", ts=ts, stream=stream)
            return times
        self._number += 1
        filler = (
            "".join(rng.choices("0123456789abcdef", k=rng.randrange(self.padding)))
            if self.padding < 1000
            else rng.randbytes(self.padding // 2).hex()
        )
        replica.print(
            f"line {self._number:06d} of {replica.replica_id} {filler}".rstrip(), ts=ts, stream=stream
        )
        return 1

    def say(self, replica: EmulatedReplica, lines: int) -> None:
        """Print some lines at once."""
        for _ in range(lines):
            if replica.printing:
                self.line(replica)
