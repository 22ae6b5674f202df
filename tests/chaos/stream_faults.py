"""Faults of the streams and of the way to the platform."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from shipper.emulator.streams import LOGS

if TYPE_CHECKING:
    from tests.chaos.site import Site


async def reset(site: Site, rng: random.Random) -> None:
    """Up to three times."""
    for _ in range(rng.randint(1, 3)):
        site.wire.reset()
        await asyncio.sleep(rng.uniform(0.05, 0.6))


async def cut_unavailable(site: Site, rng: random.Random) -> None:
    """Some of the streams or all, with other statuses that pass too."""
    for _ in range(rng.randint(1, 4)):
        status = rng.choice(["UNAVAILABLE", "UNAVAILABLE", "INTERNAL", "ABORTED", "UNKNOWN", "CANCELLED"])
        site.ignite.faults.cut(status=status, count=rng.choice([1, 2, None]))
        await asyncio.sleep(rng.uniform(0.05, 0.5))


async def cut_ok(site: Site, rng: random.Random) -> None:
    """As if there were no more to come."""
    for _ in range(rng.randint(1, 3)):
        site.ignite.faults.cut(status="OK", count=rng.choice([1, 2, None]))
        await asyncio.sleep(rng.uniform(0.05, 0.7))


async def half_open_stream(site: Site, rng: random.Random) -> None:
    """One or two streams of replicas that print on."""
    site.ignite.faults.stall(method=LOGS, count=rng.randint(1, 2))


async def half_open_connection(site: Site, rng: random.Random) -> None:
    """What is open now; what is opened later is well."""
    site.wire.silence()


async def network_cut(site: Site, rng: random.Random) -> None:
    """Nothing passes, then everything is reset."""
    site.wire.refusing = True
    try:
        await asyncio.sleep(rng.uniform(0.5, 3.0))
    finally:
        site.wire.refusing = False
        site.wire.reset()


async def slow_loris(site: Site, rng: random.Random) -> None:
    """Slow for some seconds, for the replay after a reset too."""
    site.wire.slow = True
    try:
        if rng.random() < 0.5:
            site.wire.reset()
        await asyncio.sleep(rng.uniform(1.0, 3.0))
    finally:
        site.wire.slow = False


async def reordering(site: Site, rng: random.Random) -> None:
    """Lines arrive up to a second late from here on, and replays bring them in another order."""
    site.printer.late_share = rng.uniform(0.1, 0.5)
    for _ in range(rng.randint(2, 4)):
        await asyncio.sleep(rng.uniform(0.1, 0.7))
        site.ignite.faults.cut(method=LOGS)


async def duplicates(site: Site, rng: random.Random) -> None:
    """Some lines come twice on streams that are open, and a cut brings all of them once more."""
    for _ in range(rng.randint(1, 3)):
        site.ignite.faults.repeat(rng.randint(1, 30), method=LOGS)
        await asyncio.sleep(rng.uniform(0.1, 0.6))
        if rng.random() < 0.5:
            site.ignite.faults.cut(method=LOGS)


async def garbage(site: Site, rng: random.Random) -> None:
    """Bytes that are no message, one cut short, one that is large."""
    for _ in range(rng.randint(1, 4)):
        payload = rng.choice([b"\xff\xff\xff\xff", b"\x0a\x7fshort", rng.randbytes(200), b"\x00" * 70_000])
        site.ignite.faults.garbage(payload, count=rng.choice([1, None]))
        await asyncio.sleep(rng.uniform(0.05, 0.5))


async def stream_cap(site: Site, rng: random.Random) -> None:
    """The cap is there from the start; more replicas than it allows, and one cut."""
    for _ in range(rng.randint(3, 6)):
        site.printer.choose_app(rng).start_replica()
        await asyncio.sleep(rng.uniform(0.0, 0.3))
    site.ignite.faults.cut(count=3)
