"""A real receiver of Sentry Logs: Spotlight (https://www.npmjs.com/package/@spotlightjs/spotlight).

SHIPPER_TEST_SPOTLIGHT names its program. `npm install` does it, with this package.json, which has the version of hono
that it was made with (with the newest one every request fails):
`{"dependencies": {"@spotlightjs/spotlight": "4.11.8"}, "overrides": {"hono": "4.12.25"}}`

It listens on all interfaces and reports about itself to its makers, so it runs in a network of its own, which has
nothing but a loopback. Whoever talks to it has to be in there too: `python -m tests.servers.spotlight` is started in
such a network by `in_a_network_of_its_own`, sends what it is told by stdin through a sink, and prints what arrived.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.sink import SentrySink
from tests.fakes.sentry import LOGS, NOW_MS, event, line, partition, traceback
from tests.servers.process import free_port, running

_UNSHARE = ("unshare", "--net", "--map-root-user", "--kill-child")


def find_spotlight() -> str | None:
    """The program, if it is there and can be shut in."""
    program = os.environ.get("SHIPPER_TEST_SPOTLIGHT") or shutil.which("spotlight")
    if program is None or shutil.which("unshare") is None:
        return None
    allowed = subprocess.run([*_UNSHARE, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0
    return program if allowed else None


def in_a_network_of_its_own(program: str, lines: int) -> dict[str, list[Any]]:
    """What arrived of `lines` lines in `checkout`'s project and of the issues of `billing`'s, as Spotlight shows it."""
    command = [*_UNSHARE, sys.executable, "-m", "tests.servers.spotlight", program, str(lines)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60)
    arrived: dict[str, list[Any]] = json.loads(done.stdout)
    return arrived


def _loopback_up() -> None:
    """`ip link set lo up`, where there may be no `ip` (netdevice(7))."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", b"lo", 0) + bytes(14)
        flags = struct.unpack("16sh", fcntl.ioctl(control, siocgifflags, request)[:18])[1]
        fcntl.ioctl(control, siocsifflags, struct.pack("16sh", b"lo", flags | iff_up) + bytes(14))


async def _send(port: int, project: int, *entries: Any, **options: Any) -> None:
    dsn = f"http://{'0' * 32}@127.0.0.1:{port}/{project}"
    sink = SentrySink("errors", SentryOptions(dsn, **options), clock=lambda: NOW_MS / 1000)
    await sink.open()
    for parcel in sink.pack(partition(), entries):
        answer = await sink.send(parcel)
        assert type(answer).__name__ == "Delivered", answer
    await sink.aclose()


def _read(port: int, envelopes: int) -> list[Any]:
    """Its stream begins with all that it has; each event of it is an envelope."""
    found: list[Any] = []
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stream", timeout=10) as stream:
        deadline = time.monotonic() + 10
        while len(found) < envelopes and time.monotonic() < deadline:
            text = stream.readline().decode()
            if text.startswith("data:"):
                found.append(json.loads(text.removeprefix("data:")))
    return found


def main(program: str, lines: int) -> None:
    """In the network of its own."""
    _loopback_up()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "server", "--port", str(port)]
        with running(command, port, Path(folder) / "spotlight.log", {**os.environ, "HOME": folder}):
            entries = [line(f"line {number} ä🚀", at=NOW_MS + number) for number in range(lines)]
            asyncio.run(_send(port, 1, *entries, tags={"dsn": "one"}))
            asyncio.run(_send(port, 2, event(), traceback(), line("both", marks=LOGS), tags={"dsn": "two"}))
            envelopes = _read(port, -(-lines // 100) + 3)
    arrived: dict[str, list[Any]] = {"log": [], "event": []}
    for _, items in envelopes:
        for headers, payload in items:
            arrived[headers["type"]].append(payload)
    print(json.dumps(arrived))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
