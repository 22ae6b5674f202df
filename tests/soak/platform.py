"""An emulated Ignite under churn in a process of its own, which keeps a tally of each replica's lines and no line.

Its first line of output is where it listens. Commands come as lines on standard input (`status`, `quiet`, `tallies`),
each answered with one line of JSON; the process ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from shipper.emulator import Emulator, Printed, Scenario, Traffic
from shipper.emulator.ledger import Ledger
from tests.bench.printed import Tally


@dataclass(slots=True)
class TallyLedger(Ledger):
    """Counts and digests what is printed, by replica."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    def print(self, line: Printed) -> None:
        """Note one line."""
        self.printed += 1
        tally = self.tallies.setdefault(line.replica_id, Tally())
        text = line.line if isinstance(line.line, str) else line.line.decode("utf-8", "replace")
        tally.add(line.app, line.replica_id, line.timestamp_ms, line.stream, text)


def churn(options: argparse.Namespace) -> Scenario:
    """Pods that live for minutes, crash, are replaced and evicted, and whole apps that sleep.

    A pod leaves (or restarts) only when its log was read to the end, within a bound: what could not be had is not the
    question here.
    """
    return Scenario(
        seed=options.seed,
        token="soak",
        history_lines=20_000,
        event_ttl_s=600.0,  # reaches its steady state before the slopes begin; an hour of events would not
        keep_ledger=False,
        traffic=Traffic(
            apps=options.apps,
            replicas=options.replicas,
            rate=options.rate,
            pod_life_s=options.pod_life,
            least_life_s=min(20.0, options.pod_life / 2),
            sleep_every_s=2 * options.pod_life,
            nap_s=20.0,
            late_share=0.02,
            builds_every_s=4 * options.pod_life,
            patience_s=120.0,
            tick_s=0.1,
        ),
    )


class Soaked:
    """The emulator and the commands that it takes."""

    def __init__(self, scenario: Scenario) -> None:
        self.emulator = Emulator(scenario)
        self.ledger = TallyLedger(keep=False)
        self.emulator.world.ledger = self.ledger

    def command(self, line: str) -> dict[str, Any]:
        """Do what a line of standard input says; the answer."""
        if line == "quiet" and self.emulator.driver is not None:
            self.emulator.driver.quiet = True
        if line == "tallies":
            return {replica: str(tally) for replica, tally in self.ledger.tallies.items()}
        replicas = [replica for app in self.emulator.world.apps.values() for replica in app.replicas.values()]
        return {
            "printed": self.ledger.printed,
            "unsent": self.ledger.lost,
            "replicas": sum(replica.printing for replica in replicas),
            "had": len(self.ledger.tallies),
        }


async def _serve(options: argparse.Namespace) -> None:
    soaked = Soaked(churn(options))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with soaked.emulator:
        print(json.dumps({"port": int(soaked.emulator.address.rpartition(":")[2])}), flush=True)
        async for line in reader:
            print(json.dumps(soaked.command(line.decode().strip())), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, required=True)
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--pod-life", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
