"""The seeded driver: moves a world as traffic settings say, a step at a time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final

from shipper.emulator.building import Builder
from shipper.emulator.scenario import Traffic
from shipper.emulator.text import APP_NAMES, LineSource
from shipper.emulator.world import EmulatedApp, EmulatedReplica, World

_NEVER: Final = float("inf")


@dataclass(eq=False, slots=True)
class _Life:
    """What the driver has planned for one replica, in seconds of its own time."""

    replica: EmulatedReplica
    ends_at: float
    rotates_at: float
    restarts_at: float = _NEVER
    leaves_at: float = _NEVER
    owed: float = 0.0  # lines, with the fraction that a step leaves over
    pinned: bool = False


@dataclass(eq=False, slots=True)
class _Shift:
    """What the driver has planned for one app."""

    app: EmulatedApp
    sleeps_at: float
    wakes_at: float = _NEVER
    lives: list[_Life] = field(default_factory=list)


class Driver:
    """Steps are a function of the seed and the times of the steps; `run` only feeds it the loop's clock."""

    def __init__(self, world: World, traffic: Traffic, lines: LineSource) -> None:
        self._world = world
        self._traffic = traffic
        self._lines = lines
        self._random = random.Random(f"driver-{world.scenario.seed}")
        self._builder = Builder(world, traffic)
        self._shifts: list[_Shift] = []
        self._time = 0.0
        self.quiet = False  # nothing is printed and nothing happens any more; builds come to their ends

    async def run(self) -> None:
        """Drive until cancelled."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.begin()
        while True:
            await asyncio.sleep(self._traffic.tick_s)
            if self.quiet:
                self._builder.finish()
            else:
                self.step(loop.time() - started)

    def begin(self) -> None:
        """Create the apps and their first replicas."""
        for number in range(self._traffic.apps):
            name = APP_NAMES[number % len(APP_NAMES)]
            if number >= len(APP_NAMES):
                name = f"{name}-{number // len(APP_NAMES) + 1}"
            shift = _Shift(self._world.add_app(name), self._sleep_time())
            self._shifts.append(shift)
            self._wake(shift)

    def step(self, now: float) -> None:
        """Go on to `now`, in seconds since `begin`: print what is due, then let happen what is due."""
        elapsed, self._time = now - self._time, now
        printing = [life for shift in self._shifts for life in shift.lives if life.replica.printing]
        for life in printing:
            life.owed += elapsed * self._traffic.rate / len(printing)
            self._print(life)
        for shift in self._shifts:
            for life in list(shift.lives):
                self._live(shift, life)
            self._sleep_or_wake(shift)
        self._builder.step(now, elapsed)

    def pin(self, replica: EmulatedReplica, *, pinned: bool = True) -> None:
        """Let a replica live on whatever was planned for it (or no longer)."""
        for shift in self._shifts:
            for life in shift.lives:
                if life.replica is replica:
                    life.pinned = pinned

    def will_restart(self, replica: EmulatedReplica) -> bool:
        """Whether a replica is between a crash and its restart in place."""
        return any(
            life.replica is replica and life.restarts_at != _NEVER
            for shift in self._shifts
            for life in shift.lives
        )

    def crash(self, replica: EmulatedReplica) -> None:
        """Crash a replica now; it restarts in place after the back-off."""
        for shift in self._shifts:
            for life in shift.lives:
                if life.replica is replica and replica.printing:
                    self._crash(life)

    def sleep(self, app: EmulatedApp) -> None:
        """Scale an app to zero now; it wakes again after the nap."""
        for shift in self._shifts:
            if shift.app is app and shift.wakes_at == _NEVER:
                self._sleep(shift)

    # ---- lines ----

    def _print(self, life: _Life) -> None:
        traffic, rng, replica = self._traffic, self._random, life.replica
        while life.owed >= 1:
            life.owed -= 1
            text = self._lines.line(replica.app.name)
            stream = "stderr" if rng.random() < traffic.stderr_share else "stdout"
            ts = replica.now_ms()
            if traffic.late_share and rng.random() < traffic.late_share:
                ts -= rng.randrange(int(traffic.late_s * 1000) + 1)
            replica.print(text, ts=ts, stream=stream)
            if rng.random() < traffic.twin_share and life.owed >= 1:
                life.owed -= 1
                replica.print(text, ts=ts, stream=stream)

    # ---- replicas ----

    def _start(self, shift: _Shift) -> None:
        offset = 0
        if self._traffic.clock_offset_s and self._random.random() < 0.1:
            offset = int(self._random.uniform(-1, 1) * self._traffic.clock_offset_s * 1000)
        replica = shift.app.start_replica(clock_offset_ms=offset)
        shift.lives.append(_Life(replica, self._life_time(), self._rotate_time()))
        self._world.tell(f"{replica.replica_id} started")

    def _live(self, shift: _Shift, life: _Life) -> None:
        now, replica = self._time, life.replica
        if now >= life.leaves_at + self._patience(life):
            shift.lives.remove(life)
            replica.gone()
        elif now >= life.restarts_at + self._patience(life):
            life.restarts_at, life.ends_at = _NEVER, self._life_time()
            replica.restart()
            self._world.tell(f"{replica.replica_id} restarted in place")
        elif now >= life.ends_at and replica.printing and not life.pinned:
            self._end(shift, life)
        elif now >= life.rotates_at and replica.printing and not life.pinned:
            life.rotates_at = self._rotate_time()
            replica.rotate(self._traffic.rotate_keep)
            self._world.tell(f"{replica.replica_id} rotated its log")

    def _patience(self, life: _Life) -> float:
        return 0.0 if life.replica.container.drained else self._traffic.patience_s

    def _end(self, shift: _Shift, life: _Life) -> None:
        fate, replica = self._random.random(), life.replica
        if fate < self._traffic.crash_share:
            self._crash(life)
            return
        evicted = fate < self._traffic.crash_share + self._traffic.evict_share
        if evicted:
            shift.app.event("Evicted", "The node was low on resource: memory", replica.replica_id)
        replica.end()
        life.leaves_at = self._time + self._traffic.leave_s
        self._world.tell(f"{replica.replica_id} {'was evicted' if evicted else 'was replaced'}")
        self._start(shift)

    def _crash(self, life: _Life) -> None:
        oom = self._random.random() < 0.3
        life.replica.print("fatal: out of memory" if oom else "panic: index out of range", stream="stderr")
        life.replica.crash(reason="OOMKilled" if oom else "Error", exit_code=137 if oom else 1)
        life.restarts_at = self._time + self._traffic.back_off_s
        self._world.tell(f"{life.replica.replica_id} {'was OOM-killed' if oom else 'crashed'}")

    # ---- apps ----

    def _sleep_or_wake(self, shift: _Shift) -> None:
        if self._time >= shift.wakes_at:
            self._wake(shift)
        elif self._time >= shift.sleeps_at and not any(life.pinned for life in shift.lives):
            self._sleep(shift)

    def _sleep(self, shift: _Shift) -> None:
        shift.app.event("ScaledToZero", "KEDA is not active: scaling to zero")
        self._world.tell(f"{shift.app.name} scaled to zero")
        for life in shift.lives:
            if life.leaves_at == _NEVER:
                if life.replica.printing:
                    life.replica.print("shutting down")
                    life.replica.end()
                life.restarts_at = _NEVER
                life.leaves_at = self._time + self._traffic.leave_s
        shift.sleeps_at = _NEVER
        shift.wakes_at = self._time + max(self._traffic.nap_s, self._traffic.leave_s)

    def _wake(self, shift: _Shift) -> None:
        if shift.wakes_at != _NEVER:
            shift.app.event("ScaledFromZero", "KEDA is active: scaling up from zero")
            self._world.tell(f"{shift.app.name} woke up")
        shift.wakes_at = _NEVER
        shift.sleeps_at = self._sleep_time()
        for _ in range(max(1, self._traffic.replicas + self._random.choice((-1, 0, 0, 1)))):
            self._start(shift)

    # ---- times ----

    def _life_time(self) -> float:
        spread = max(0.1, self._traffic.pod_life_s - self._traffic.least_life_s)
        return self._time + self._traffic.least_life_s + self._random.expovariate(1 / spread)

    def _sleep_time(self) -> float:
        mean = self._traffic.sleep_every_s
        return self._time + self._random.uniform(0.5, 1.5) * mean if mean else _NEVER

    def _rotate_time(self) -> float:
        mean = self._traffic.rotate_every_s
        return self._time + self._random.uniform(0.5, 1.5) * mean if mean else _NEVER
