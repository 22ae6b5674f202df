"""Where an idle process's memory is: what each library adds when it is loaded, and what the daemon has at work.

    python -m tests.bench.resident [SECONDS]

Libraries are loaded one after the other in a fresh process, in the order of the table: what two of them need counts for
the first. Free pages are given back before each look, as the daemon does it every ten seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Final

from tests.bench.processes import ROOT, Daemon
from tests.bench.surroundings import Load, surroundings

IDLE_S: Final = 60.0
NAMES: Final = ("VmRSS", "RssAnon", "RssFile")
STEPS: Final[Mapping[str, str]] = {
    "the interpreter": "sys",
    "its standard library: asyncio, ssl, logging, what these need": (
        "asyncio, ssl, logging, argparse, json, gzip, subprocess, pickle"
    ),
    "uvloop": "uvloop",
    "aiohttp's client; loaded, it reads the system's CA certificates (2.7 MB)": "aiohttp",
    "aiohttp's server": "aiohttp.web_server, aiohttp.web_request, aiohttp.web_response",
    "prometheus_client": "prometheus_client",
    "protobuf": "google.protobuf.descriptor_pool, google.protobuf.message_factory",
    "sqlite3, orjson, zstandard, xxhash, hpack": "sqlite3, orjson, zstandard, xxhash, hpack",
    "aiobotocore, botocore, urllib3": "aiobotocore.session, aiobotocore.config",
    "shipper's own modules": "shipper.cli, shipper.config.apart, shipper.daemon, shipper.sinks.s3.sink",
}

_LOADED: Final = """\
import ctypes, gc
for modules in {modules!r}:
    exec(f"import {{modules}}")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as status:
        print(status.read().replace("\\n", ";"))
"""


def loaded() -> Iterator[tuple[str, dict[str, float]]]:
    """Each step, and the memory in MB that is resident after it."""
    code = _LOADED.format(modules=list(STEPS.values()))
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for what, line in zip(STEPS, run.stdout.splitlines(), strict=True):
        fields = dict(field.partition(":")[::2] for field in line.split(";") if field)
        yield what, {name: int(fields[name].split()[0]) * 1024 / 1e6 for name in NAMES}


def at_work(seconds: float) -> tuple[dict[str, float], float]:
    """The same of an idle daemon with one replica and an S3 sink, and its most."""
    with surroundings(Load(replicas=1)) as setup, setup.start() as daemon:
        setup.wait_for_streams(daemon)
        time.sleep(seconds)
        return _memory(daemon), daemon.memory_mb("VmHWM")


def _memory(daemon: Daemon) -> dict[str, float]:
    return {name: daemon.memory_mb(name) for name in NAMES}


def table(seconds: float) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| what | MB | of it its own | of it pages of files |"
    yield "|---|---|---|---|"
    before = dict.fromkeys(NAMES, 0.0)
    for what, after in loaded():
        yield _row(what, {name: after[name] - before[name] for name in NAMES})
        before = after
    whole, most = at_work(seconds)
    rest = "at work: the S3 client and AWS's descriptions, SQLite, threads, connections"
    yield _row(rest, {name: whole[name] - before[name] for name in NAMES})
    yield _row(f"**all, after {seconds:.0f} s** ({most:.0f} at most)", whole)


def _row(what: str, memory: Mapping[str, float]) -> str:
    return f"| {what} | {' | '.join(f'{memory[name]:.1f}' for name in NAMES)} |"


if __name__ == "__main__":
    for line in table(float(sys.argv[1]) if len(sys.argv) > 1 else IDLE_S):
        print(line, flush=True)
