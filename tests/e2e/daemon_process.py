"""The real daemon as a process of its own, and the archive it leaves."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipper.archive.codec import decode, decompress, log_bytes
from shipper.emulator.ledger import Printed
from shipper.model import Codec
from tests.servers.process import free_port

CODECS = {".zst": Codec.ZSTD, ".gz": Codec.GZIP, ".ndjson": Codec.NONE}


@dataclass
class Shipper:
    """One configuration and the daemon that runs with it, as often as a test starts it."""

    folder: Path
    endpoint: str
    token: str = "emulator-token"
    sinks: str = ""
    ignite: str = ""
    settings: str = ""
    telemetry: str = ""
    buffer: str = "max_size: 64MiB"
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def log(self) -> Path:
        return self.folder / "shipper.log"

    def write(self) -> Path:
        """The configuration file; other users may not read it, as it holds a token."""
        sinks = self.sinks or (
            f"  local: {{type: directory, path: {self.archive}, batch: {{max_age: 500ms, max_size: 1MiB}}}}"
        )
        path = self.folder / "shipper.yaml"
        path.write_text(f"""
ignite:
  endpoint: {self.endpoint}
  organization: acme-corp
  auth: {{type: token, token: {self.token}}}
{self.ignite}
collect: {{poll_interval: 500ms}}
buffer: {{path: {self.folder / "buffer"}, {self.buffer}}}
sinks:
{sinks}
telemetry: {{listen: "127.0.0.1:{self.port}"{self.telemetry}}}
{self.settings}
""")
        path.chmod(0o600)
        return path

    async def start(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shipper", "run", "--config", str(self.write()),
                stdout=log, stderr=log,
            )  # fmt: skip
        return self.process

    async def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = 60.0) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return await self.ended(within_s)

    async def ended(self, within_s: float = 60.0) -> int:
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def make_sure_it_is_gone(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    async def metrics(self) -> dict[str, float]:
        """Every series by its name with labels; empty while nobody answers."""
        try:
            page = await asyncio.to_thread(self._scrape)
        except OSError:
            return {}
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in page.splitlines()
            if line and not line.startswith("#")
        }

    def _scrape(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    async def until(self, ready: Callable[[dict[str, float]], bool], within_s: float = 60.0) -> None:
        """Poll the metrics until they are as wanted."""
        async with asyncio.timeout(within_s):
            while True:
                seen = await self.metrics()
                if seen and ready(seen):
                    return
                await asyncio.sleep(0.05)

    async def until_said(self, pattern: str, within_s: float = 30.0) -> str:
        """Poll the log until a line matches."""
        async with asyncio.timeout(within_s):
            while True:
                found = re.search(pattern, self.said(), re.MULTILINE)
                if found:
                    return found[0]
                await asyncio.sleep(0.05)

    # ---- the archive ----

    def records(self, kind: str) -> Iterator[dict[str, Any]]:
        yield from records_under(self.archive, kind)

    def lines(self) -> Iterator[Printed]:
        """Archived log lines as the ledger has them."""
        return (printed(record) for record in self.records("logs"))


def records_under(root: Path, kind: str) -> Iterator[dict[str, Any]]:
    """All records of a kind in an archive on disk."""
    for path in sorted((root / f"kind={kind}").rglob("*")):
        if path.suffix in CODECS and not path.name.startswith("."):
            yield from decode(decompress(CODECS[path.suffix], path.read_bytes()))


def printed(record: dict[str, Any]) -> Printed:
    """A record of kind logs as the ledger has it."""
    exact = log_bytes(record)
    try:
        line: str | bytes = exact.decode()
    except UnicodeDecodeError:
        line = exact
    return Printed(
        record["app"], record["replica_id"], record["timestamp_ms"], record.get("stream", ""), line
    )


def delivered(kind: str, count: int) -> Callable[[dict[str, float]], bool]:
    """For `until`: the directory sink has acknowledged that many records of a kind since the start."""
    return lambda seen: seen.get(f'shipper_records_delivered_total{{kind="{kind}",sink="local"}}', 0) >= count
