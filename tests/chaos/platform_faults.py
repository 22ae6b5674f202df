"""Faults of the platform: its listing, its pods, its tokens and its server."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.site import Site


async def listing_empty(site: Site, rng: random.Random) -> None:
    """Some answers are empty, streams are cut meanwhile or not."""
    site.ignite.faults.empty("ListAppReplicas", times=rng.randint(1, 8))
    if rng.random() < 0.5:
        site.ignite.faults.cut()
    await asyncio.sleep(rng.uniform(0.2, 2.0))


async def listing_failing(site: Site, rng: random.Random) -> None:
    """For a while, with statuses that pass."""
    refusals = [
        site.ignite.faults.refuse(method, rng.choice(["UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED"]))
        for method in ("ListAppReplicas", "ListApps")
    ]
    await asyncio.sleep(rng.uniform(0.5, 2.0))
    for refusal in refusals:
        refusal.lift()


async def listing_wrong(site: Site, rng: random.Random) -> None:
    """Replicas that print are left out for a while, one of them is new."""
    hidden = [replica for replica in site.printer.replicas if rng.random() < 0.6]
    hidden.append(site.printer.choose_app(rng).start_replica(listed=False))
    for replica in hidden:
        replica.listed = False
    if rng.random() < 0.5:
        site.ignite.faults.cut()
    await asyncio.sleep(rng.uniform(0.6, 2.0))
    for replica in hidden:
        replica.listed = True


async def brief_replicas(site: Site, rng: random.Random) -> None:
    """Pods that print a little, end in good order, and are gone with their history."""
    for _ in range(rng.randint(3, 6)):
        replica = site.printer.choose_app(rng).start_replica()
        site.printer.say(replica, rng.randint(1, 10))
        await asyncio.sleep(rng.uniform(0.1, 1.0))
        site.printer.say(replica, rng.randint(0, 10))
        replica.end()
        await asyncio.sleep(rng.uniform(0.0, 0.2))
        replica.gone()


async def restart_in_place(site: Site, rng: random.Random) -> None:
    """The container crashes; what it printed is gone when the next one starts."""
    for _ in range(rng.randint(1, 4)):
        replica = site.printer.choose(rng)
        if replica is not None:
            replica.crash(reason=rng.choice(["Error", "OOMKilled"]))
            await asyncio.sleep(rng.choice([0.0, 0.05, 0.4, 1.0]))
            if not replica.is_gone:
                replica.restart()
                site.printer.say(replica, rng.randint(0, 5))
        await asyncio.sleep(rng.uniform(0.0, 0.5))


async def rotation(site: Site, rng: random.Random) -> None:
    """Some of what was printed cannot be replayed any more; streams are cut just before or after. Only of containers of
    which somebody was sent a line: what is rotated away before that nobody can tell from an app that was silent.
    """
    for _ in range(rng.randint(1, 4)):
        replica = site.printer.choose(rng)
        if replica is not None and replica.container.carried:
            before = rng.random() < 0.5
            if before:
                site.ignite.faults.cut(replica_id=replica.replica_id)
                await asyncio.sleep(rng.uniform(0.0, 0.2))
            replica.rotate(keep=rng.choice([0, 1, 5, 50]))
            if not before and rng.random() < 0.5:
                site.ignite.faults.cut(replica_id=replica.replica_id)
        await asyncio.sleep(rng.uniform(0.1, 0.6))


async def rotation_unclear(site: Site, rng: random.Random) -> None:
    """All that a rotation leaves is a line that is older than the newest taken: that something is missing shows only
    with the next line, and before that the daemon is killed.
    """
    replica = site.printer.choose(rng)
    if replica is None:
        return
    site.printer.hushed.add(replica.replica_id)
    try:
        site.printer.say(replica, 3)
        await asyncio.sleep(rng.uniform(0.6, 1.0))  # taken by now
        if replica.is_gone or not replica.printing or not replica.container.carried:
            return
        site.ignite.faults.cut(replica_id=replica.replica_id)
        late = replica.now_ms() - 2
        site.printer.say(replica, rng.randint(1, 8))
        replica.rotate(keep=0)
        replica.print(f"late, and all that is left of {replica.replica_id}", ts=late - rng.randrange(900))
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        await site.daemon.kill()
        await asyncio.sleep(rng.uniform(0.5, 1.5))
    finally:
        site.printer.hushed.discard(replica.replica_id)


async def scale_to_zero(site: Site, rng: random.Random) -> None:
    """All replicas of an app go at once, with their history; after a nap others come."""
    app = site.printer.choose_app(rng)
    for replica in list(app.replicas.values()):
        site.printer.say(replica, rng.randint(0, 5))
    app.scale_to_zero()
    await asyncio.sleep(rng.uniform(0.1, 1.2))
    for _ in range(rng.randint(1, 3)):
        app.start_replica()


async def token_revoked(site: Site, rng: random.Random) -> None:
    """Every token is refused, streams with them are cut or not, and for a while no other can be had."""
    tokens = site.ignite.tokens
    tokens.down = True
    try:
        if rng.random() < 0.5:
            site.ignite.expire_tokens(cut_streams=True)
        else:
            tokens.revoke()
            site.ignite.faults.cut(status="UNAUTHENTICATED", message="the token was revoked")
        await asyncio.sleep(rng.uniform(0.3, 3.0))
    finally:
        tokens.down = False


async def server_restart(site: Site, rng: random.Random) -> None:
    """Every connection breaks, the port is closed for a while."""
    for _ in range(rng.randint(1, 2)):
        await site.ignite.stop_serving()
        await asyncio.sleep(rng.uniform(0.0, 1.5))
        await site.ignite.start_serving()
        await asyncio.sleep(rng.uniform(0.0, 0.5))
