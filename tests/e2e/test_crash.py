"""SIGKILL at any moment loses nothing that the platform can still replay and repeats nothing in the archive."""

from __future__ import annotations

import asyncio
import random
import signal

from shipper.emulator import Emulator, Scenario
from shipper.emulator.ledger import compare
from tests.e2e.conftest import Make

KILLS = 20


async def test_twenty_kills_at_random_moments_leave_every_line_in_the_archive_once(shipper: Make) -> None:
    rng = random.Random(20)
    async with Emulator(Scenario(renumber=3)) as ignite:
        replicas = [
            ignite.app(name).start_replica() for name in ("checkout", "search", "mailer") for _ in "ab"
        ]
        daemon = shipper(ignite.endpoint)

        async def print_on(done: asyncio.Event) -> None:
            number = 0
            while not done.is_set():
                for replica in replicas:
                    for _ in range(rng.randint(0, 4)):
                        number += 1
                        replica.print(f"line {number}", stream=rng.choice(["stdout", "stderr"]))
                    replica.print("the same line again and again")
                    replica.print("the same line again and again")
                await asyncio.sleep(0.03)

        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(print_on(done), name="apps print")
            for _ in range(KILLS):
                await daemon.start()
                await daemon.until(lambda seen: True)
                await asyncio.sleep(rng.uniform(0.0, 1.2))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
            done.set()
        await daemon.start()
        total = len(ignite.ledger.lines)
        async with asyncio.timeout(90):
            while sum(1 for _ in daemon.lines()) < total:
                await asyncio.sleep(0.5)
        assert await daemon.stop() == 0
        result = compare(ignite.ledger.counter(), daemon.lines())
        assert result.equal, (
            result.missing.most_common(3),
            result.surplus.most_common(3),
            daemon.said()[-3000:],
        )
        assert result.printed == total > 5_000
        assert not list(daemon.records("gaps"))
