"""The processes of a measurement: servers that take commands on standard input, and the daemon that is measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.servers.process import free_port

ROOT: Final = Path(__file__).parents[2]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_START_S: Final = 120.0
_STOP_S: Final = 60.0


def cpu_s(pid: int) -> float:
    """User and system time of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int, name: str = "VmHWM") -> float:
    """Resident memory of a process in MB of 1000 * 1000 bytes: `VmHWM` at most, `VmRSS` now. Raises LookupError for one
    that ended.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(pid)


class Server:
    """A module of the bench in its own process. Its first line of output says on which port it listens."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.port: int = self._answer()["port"]

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate(timeout=_STOP_S)


class Daemon:
    """`python -m shipper run`, and what the kernel and its own metrics say of it."""

    def __init__(self, directory: Path, config: str, *, program: Sequence[str] = (sys.executable,)) -> None:
        self._metrics_port = free_port()
        config_path = directory / "shipper.yaml"
        config_path.touch(mode=0o600)
        config_path.write_text(config + f"telemetry: {{listen: '127.0.0.1:{self._metrics_port}'}}\n")
        self.log = directory / "shipper.log"
        self.started_at = time.monotonic()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*program, "-m", "shipper", "run", "--config", str(config_path)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
            )
        self.pid = self._process.pid

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        return cpu_s(self.pid)

    def memory_mb(self, name: str = "VmHWM") -> float:
        """Resident memory in MB of 1000 * 1000 bytes: `VmHWM` at most, `VmRSS` now."""
        try:
            return memory_mb(self.pid, name)
        except LookupError:
            raise RuntimeError(f"the daemon ended: {self.tail()}") from None

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a series over the label sets that contain `label`; 0 before the daemon answers."""
        samples = self.metrics().items()
        return sum(value for sample, value in samples if sample.partition("{")[0] == name and label in sample)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics; none before the daemon answers."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the daemon ended: {self.tail()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics") as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """Drain it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once: what is in its buffer file stays there."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def wait_until(condition: Any, what: str, *, timeout_s: float = 120.0, every_s: float = 0.05) -> None:
    """Ask again and again; other processes have no events to wait for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} took longer than {timeout_s:g} s")
        time.sleep(every_s)
