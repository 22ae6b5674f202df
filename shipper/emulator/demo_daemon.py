"""The demo's daemon: the real program in a process of its own, watched through its /metrics and its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from shipper.emulator.emulator import Emulator

_KILL_AFTER_S = 45.0  # the daemon's own shutdown timeout is 30 s
_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)", re.MULTILINE)

_CONFIGURATION = """\
# Written by `shipper demo`.
ignite:
  endpoint: {endpoint}
  organization: {organization}
  auth:
    type: client_credentials
    token_url: {token_url}
    client_id: {client_id}
    client_secret: {client_secret}
collect:
  poll_interval: 1s
buffer:
  path: {buffer}
  max_size: 1GiB
sinks:
  archive:
    type: directory
    path: {archive}
    batch: {{max_age: 2s, max_size: 64MiB}}
telemetry:
  listen: 127.0.0.1:{port}
"""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The samples of one scrape. A series that is not there is zero."""

    samples: tuple[tuple[str, str, float], ...] = ()  # (name without prefix, labels as text, value)

    def total(self, series: str, *labels: str) -> float:
        """The sum of a series over the label sets that contain all of these, for example `kind="logs"`."""
        return sum(
            value
            for name, found, value in self.samples
            if name == series and all(label in found for label in labels)
        )


def parse(exposition: str) -> Metrics:
    """Read the Prometheus text format, as far as plain counters and gauges go."""
    return Metrics(
        tuple(
            (match["name"].removeprefix("shipper_"), match["labels"] or "", float(match["value"]))
            for match in _SAMPLE.finditer(exposition)
        )
    )


def configuration(ignite: Emulator, archive: Path, state: Path, port: int) -> str:
    """What the daemon is given; strings are quoted as JSON, which YAML reads."""
    return _CONFIGURATION.format(
        endpoint=json.dumps(ignite.endpoint),
        organization=json.dumps(ignite.scenario.organization),
        token_url=json.dumps(ignite.token_url),
        client_id=json.dumps(ignite.scenario.client_id),
        client_secret=json.dumps(ignite.scenario.client_secret),
        buffer=json.dumps(str(state / "buffer"), ensure_ascii=False),
        archive=json.dumps(str(archive), ensure_ascii=False),
        port=port,
    )


class Daemon:
    """`python -m shipper run` for as long as a block runs; on leaving, whatever is left of it is ended."""

    def __init__(self, ignite: Emulator, archive: Path, state: Path) -> None:
        self._port = _free_port()
        self._state = state
        self.config = state / "shipper.yaml"
        self.log = state / "shipper.log"
        self._text = configuration(ignite, archive, state, self._port)
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._state.mkdir(parents=True, exist_ok=True)
        self.config.touch(mode=0o600)  # it holds a client secret
        self.config.write_text(self._text, encoding="utf-8")
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shipper", "run", "--config", str(self.config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the demo; the demo then ends the daemon
            )  # fmt: skip
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()
        if self.exit_status is None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.returncode

    async def metrics(self) -> Metrics | None:
        """Scrape it; None while it does not answer."""
        assert self._http is not None
        try:
            async with self._http.get(f"http://127.0.0.1:{self._port}/metrics") as answer:
                return parse(await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def stop(self) -> int:
        """SIGTERM, and its exit status when it has drained; killed if that takes too long."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_KILL_AFTER_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
