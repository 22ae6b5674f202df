"""Packets that are dropped without a word, both ways: by rules in a network namespace that the run has to itself."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.chaos.site import Site

APART: Final = "CHAOS_OWN_NETWORK"
"""Set in the environment of a run in a namespace of its own."""


def in_own_network(command: Sequence[str]) -> list[str]:
    """The command in a namespace where only loopback is; as it is where that is not permitted."""
    inner = 'ip link set lo up && exec "$@"'
    apart = ["unshare", "--net", "env", f"{APART}=1", "sh", "-c", inner, "sh"]
    if not all(map(shutil.which, ("unshare", "ip", "iptables"))):
        return list(command)
    rule = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP"]
    tried = subprocess.run([*apart, *rule], capture_output=True, check=False)
    return [*apart, *command] if tried.returncode == 0 else list(command)


async def packets_lost_platform(site: Site, rng: random.Random) -> None:
    """Connections stay, nothing arrives, nobody is told."""
    await _drop(site, site.wire.address, rng)


async def packets_lost_s3(site: Site, rng: random.Random) -> None:
    """The same on the way to the store."""
    assert site.proxy is not None
    await _drop(site, site.proxy.url, rng)


async def _drop(site: Site, address: str, rng: random.Random) -> None:
    if APART not in os.environ:
        site.note("no network namespace could be made; no packets were dropped")
        return
    port = address.rpartition(":")[2].strip("/")
    await _rules("-A", port)
    try:
        await asyncio.sleep(rng.uniform(1.5, 4.0))
    finally:
        await _rules("-D", port)


async def _rules(verb: str, port: str) -> None:
    for direction in ("--dport", "--sport"):
        command = ["iptables", "-w", verb, "INPUT", "-p", "tcp", direction, port, "-j", "DROP"]
        done = await asyncio.create_subprocess_exec(*command)
        if await done.wait():
            raise RuntimeError(f"iptables failed: {' '.join(command)}")
