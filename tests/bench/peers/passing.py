"""The same lines on their way through another program: `curl` reads each replica's NDJSON stream and hands it on."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shipper.archive.codec import decompress
from shipper.ignite.gateway.routes import ROUTES
from shipper.model import Codec
from tests.bench.peers.collector import collecting
from tests.bench.printed import Tally, replica_name
from tests.bench.processes import Server, cpu_s, memory_mb, wait_until
from tests.bench.rows import Passage
from tests.bench.surroundings import Setup
from tests.servers.process import free_port

_QUIET_S: Final = 4.0  # the store gets nothing for so long: nothing more will come
_LONGEST_S: Final = 300.0
_CODECS: Final = {".zst": Codec.ZSTD, ".gz": Codec.GZIP}


@dataclass(frozen=True, slots=True)
class Peer:
    """A configuration of the collector, and the way of the lines into it."""

    what: str
    config: str
    through_files: bool
    fsync: bool


PEERS: Final = tuple(
    Peer(
        f"`curl` → {'file → `filelog`' if files else 'TCP → `tcplog`'} → `awss3`{', fsync' if fsync else ''}",
        "collector-file.yaml" if files else "collector-tcp.yaml",
        files,
        fsync,
    )
    for files in (False, True)
    for fsync in (False, True)
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one program did. `passage` has its own CPU and memory, `feeding_cpu_s` is that of the readers before it."""

    passage: Passage
    feeding_cpu_s: float
    arrived: int
    same: bool  # exactly what was printed

    def __str__(self) -> str:
        return f"{self.passage}; curl {self.feeding_cpu_s:.2f} CPU-seconds; {self.arrived:,} arrived"


def passed(peer: Peer, setup: Setup, compression: str) -> Result:
    """Every replica's history through the peer into the store; ends with the last object."""
    port, lines = free_port(), setup.directory / "lines"
    lines.mkdir()
    settings = {
        "PEER_PORT": str(port),
        "PEER_STORE": str(setup.store.port),
        "PEER_DIRECTORY": str(setup.directory),
        "PEER_COMPRESSION": compression,
        "PEER_FSYNC": str(peer.fsync).lower(),
    }
    setup.server.ask("hold")
    with (
        collecting(peer.config, setup.directory, settings) as collector,
        _feeding(setup, lines if peer.through_files else None, port) as feeders,
    ):
        wait_until(lambda: setup.server.ask("status")["streams"] == setup.load.replicas, "opening streams")
        before, fed = cpu_s(collector.pid), sum(cpu_s(feeder.pid) for feeder in feeders)
        began = setup.server.ask("go")["at"]
        wait_until(lambda: setup.server.ask("status")["unsent"] == 0, "sending", timeout_s=_LONGEST_S)
        wait_until(lambda: _is_quiet(setup.store, began), "the store's rest", timeout_s=_LONGEST_S)
        passage = Passage(
            setup.printed,
            setup.store.ask("status")["last_put_at"] - began,
            cpu_s(collector.pid) - before,
            memory_mb(collector.pid),
        )
        fed = sum(cpu_s(feeder.pid) for feeder in feeders) - fed
    tally = _tally(setup.store)
    return Result(passage, fed, tally.count, str(tally) == setup.server.ask("status")["tally"])


def _is_quiet(store: Server, began: float) -> bool:
    return time.monotonic() - max(store.ask("status")["last_put_at"], began) > _QUIET_S


@contextmanager
def _feeding(setup: Setup, lines: Path | None, port: int) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """A `curl` for each replica, into a file or into the port."""
    target = f"/dev/tcp/127.0.0.1/{port}" if lines is None else f"{lines}/$2.ndjson"
    feeders = [
        subprocess.Popen(["bash", "-c", f'exec curl -sN "$1" > {target}', "bash", url, replica_id])
        for replica_id, url in _urls(setup)
    ]
    try:
        yield feeders
    finally:
        for feeder in feeders:
            feeder.kill()
            feeder.wait()


def _urls(setup: Setup) -> Iterator[tuple[str, str]]:
    for index in range(setup.load.replicas):
        replica_id = replica_name(index, setup.load.apps)
        fields = {
            "organization_name": "acme",
            "app_name": f"app-{index % setup.load.apps}",
            "replica_id": replica_id,
            "from_start": True,
        }
        yield replica_id, f"http://127.0.0.1:{setup.server.port}{ROUTES['StreamAppLogs'].url(fields)}"


def _tally(store: Server) -> Tally:
    """All lines in the objects: messages of the gateway, as they came."""
    tally = Tally()
    for path in store.ask("status")["paths"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{store.port}{path}") as answer:
            for line in decompress(_CODECS[Path(path).suffix], answer.read()).splitlines():
                _add(tally, json.loads(line))
    return tally


def _add(tally: Tally, message: dict[str, Any]) -> None:
    replica_id = message["replicaId"]
    app = replica_id.rsplit("-", 2)[0]
    stream = message["stream"].removeprefix("LOG_STREAM_").lower()
    tally.add(app, replica_id, int(message["timestampMs"]), stream, message["line"])
