"""One measurement's surroundings: load server, store and buffer directory, and daemons configured for them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.processes import Daemon, Server, wait_until

_CONFIG = """\
ignite:
  endpoint: {scheme}://127.0.0.1:{port}
  organization: acme
  auth: {{type: none}}
apps: {{include: [{apps}]}}
buffer: {{path: '{buffer}'}}
sinks:
  archive:
    type: s3
    bucket: bench
    region: eu-central-1
    endpoint_url: http://127.0.0.1:{store}
    access_key_id: bench
    secret_access_key: bench
    batch: {{max_age: {max_age}, max_size: {max_size}}}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What the load server has: `history` lines a replica, printed at `pace` lines a second. `http` is how it packs
    them where it is the HTTP gateway: `full`, or `lines`.
    """

    replicas: int
    apps: int = 1
    history: int = 0
    pace: int = 2000
    texts: Sequence[Path] = ()
    http: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that runs beside the daemon. Daemons of one directory share a buffer, one after the other."""

    load: Load
    server: Server
    store: Server
    directory: Path

    def start(self, *, max_age: str = "5m", max_size: str = "64MiB") -> Daemon:
        """Start the daemon; by default with the configuration's own batches."""
        config = _CONFIG.format(
            scheme="http" if self.load.http else "grpc",
            port=self.server.port,
            store=self.store.port,
            apps=", ".join(f"app-{index}" for index in range(self.load.apps)),
            buffer=self.directory / "buffer",
            max_age=max_age,
            max_size=max_size,
        )
        return Daemon(self.directory, config)

    def wait_for_streams(self, daemon: Daemon) -> None:
        """Until the daemon has opened every replica's stream."""

        def opened() -> bool:
            daemon.memory_mb()  # raises when it ended
            return bool(self.server.ask("status")["streams"] == self.load.replicas)

        wait_until(opened, "opening every stream")

    def again(self, name: str) -> Setup:
        """The same servers with an empty store and an empty buffer."""
        self.store.ask("forget")
        directory = self.directory / name
        directory.mkdir()
        return replace(self, directory=directory)

    @property
    def printed(self) -> int:
        count: int = self.server.ask("status")["printed"]
        return count


@contextmanager
def surroundings(load: Load, directory: Path | None = None) -> Iterator[Setup]:
    """Servers and a temporary directory (below `directory`), for as long as the block runs."""
    arguments: list[object] = ["--replicas", load.replicas, "--apps", load.apps]
    arguments += ["--history", load.history, "--pace", load.pace]
    if load.http:
        arguments += ["--http", load.http]
    if load.texts:
        arguments += ["--lines", *load.texts]
    with (
        tempfile.TemporaryDirectory(prefix="shipper-bench-", dir=directory) as temporary,
        Server("tests.bench.object_store") as store,
        Server("tests.bench.load_server", *arguments) as server,
    ):
        yield Setup(load, server, store, Path(temporary))
