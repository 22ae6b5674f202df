"""Faults of what the daemon delivers to."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tests.servers import datadog_intake
from tests.servers.fault_proxy import SLOW_DOWN, Canned, Fault, refusal
from tests.servers.sentry_stub import Scripted

if TYPE_CHECKING:
    from tests.chaos.site import Site


async def s3_503(site: Site, rng: random.Random) -> None:
    """And 500."""
    broken = refusal(b"500 Internal Server Error", b"InternalError")
    await _s3(site, rng, [SLOW_DOWN, SLOW_DOWN, broken])


async def s3_reset(site: Site, rng: random.Random) -> None:
    """Before the server has seen anything."""
    await _s3(site, rng, [Fault.RESET])


async def s3_lost_answer(site: Site, rng: random.Random) -> None:
    """After the server has done it."""
    await _s3(site, rng, [Fault.LOSE_ANSWER, Fault.LOSE_ANSWER, Fault.TRUNCATE])


async def s3_stall(site: Site, rng: random.Random) -> None:
    """Until the daemon gives up."""
    await _s3(site, rng, [Fault.STALL, Fault.NEVER_READ, Fault.STALL_AFTER_HEADERS])


async def _s3(site: Site, rng: random.Random, faults: list[Fault | Canned]) -> None:
    """The next requests, not all of them."""
    assert site.proxy is not None
    script = [rng.choice([*faults, Fault.PASS]) for _ in range(rng.randint(2, 8))]
    site.proxy.script.extend([rng.choice(faults), *script])
    await asyncio.sleep(2.0)
    site.proxy.script.clear()


async def datadog_trouble(site: Site, rng: random.Random) -> None:
    """What an intake does on a bad day."""
    assert site.datadog is not None
    kinds = [
        datadog_intake.Fault.RESET,
        datadog_intake.Fault.LOSE_ANSWER,
        datadog_intake.Canned(503),
        datadog_intake.Canned(500),
        datadog_intake.Canned(408),
        datadog_intake.Canned(429, {"retry-after": "0"}),
    ]
    site.datadog.script.extend(rng.choice(kinds) for _ in range(rng.randint(2, 8)))
    await asyncio.sleep(2.0)
    site.datadog.script.clear()


async def sentry_trouble(site: Site, rng: random.Random) -> None:
    """Rate limits are short: a long one is allowed to drop."""
    assert site.sentry is not None
    kinds = [
        Scripted(status=503),
        Scripted(status=500),
        Scripted(reset=True),
        Scripted(reset=True, keep=True),
        Scripted(status=429, headers={"Retry-After": "1"}),
        Scripted(status=429, headers={"X-Sentry-Rate-Limits": "1:log_item:organization"}),
    ]
    site.sentry.script.extend(rng.choice(kinds) for _ in range(rng.randint(2, 8)))
    await asyncio.sleep(2.0)
    site.sentry.script.clear()


async def buffer_full(site: Site, rng: random.Random) -> None:
    """The store is down while far more is printed than the buffer holds, then well again."""
    assert site.proxy is not None
    printer, proxy = site.printer, site.proxy
    padding, burst = printer.padding, printer.burst
    printer.padding, printer.burst = 12_000, 900 / printer.rate
    try:
        for _ in range(50):
            proxy.script.extend([SLOW_DOWN] * 50)
            await asyncio.sleep(0.1)
    finally:
        printer.padding, printer.burst = padding, burst
        proxy.script.clear()
