"""The floor: the same stream taken off the wire and compressed to disk, with nothing parsed.

`curl --http2-prior-knowledge | zstd -3` where both are installed; else this module as a process, pyqwest and zstandard.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
import zstandard
from pyqwest import Headers, HTTPTransport, HTTPVersion, Request

from tests.bench.processes import ROOT
from tests.bench.transports import PATH, stream_request

_ENDS = ("bench-end", "1")


def what() -> str:
    """Which floor this machine gives."""
    return "curl | zstd -3" if _installed() else "pyqwest | zstandard -3"


def cpu_s(replicas: Sequence[str], port: int, directory: Path) -> float:
    """CPU of taking the full history of every replica, one after the other."""
    return sum(_cpu_of_one(replica_id, port, directory) for replica_id in replicas)


def _installed() -> bool:
    return bool(shutil.which("curl") and shutil.which("zstd"))


def _cpu_of_one(replica_id: str, port: int, directory: Path) -> float:
    request = stream_request(replica_id)
    (directory / "request").write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)
    url, output = f"http://127.0.0.1:{port}{PATH}", str(directory / "floor.zst")
    if not _installed():
        command = [sys.executable, "-m", "tests.bench.floor", url, str(directory / "request"), output]
        return _cpu_until_end(subprocess.Popen(command, cwd=ROOT))
    curl = subprocess.Popen(
        [
            *("curl", "-sS", "--http2-prior-knowledge", "--data-binary", f"@{directory / 'request'}"),
            *("-H", "content-type: application/grpc", "-H", "te: trailers", "-H", ": ".join(_ENDS), url),
        ],
        stdout=subprocess.PIPE,
    )
    zstd = subprocess.Popen(["zstd", "-3", "-q", "-f", "-o", output], stdin=curl.stdout)
    assert curl.stdout is not None
    curl.stdout.close()
    return _cpu_until_end(curl) + _cpu_until_end(zstd)


def _cpu_until_end(process: subprocess.Popen[bytes]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


async def _read(url: str, request: Path, output: Path) -> None:
    headers = Headers([("content-type", "application/grpc"), ("te", "trailers"), _ENDS])
    call = Request("POST", url, headers, request.read_bytes())
    async with HTTPTransport(http_version=HTTPVersion.HTTP2) as transport:
        with output.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as writer:
            async with await transport.execute(call) as response:
                async for data in response.content:
                    writer.write(data)
    await asyncio.sleep(0)


if __name__ == "__main__":
    uvloop.run(_read(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
