"""The floor: the same stream taken off the wire and compressed to disk, with nothing parsed.

`curl --http2-prior-knowledge | zstd -3` where both are installed; else this module as a process, with shipper's own
transport and zstandard.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
import zstandard

from shipper.ignite.dial import Dial
from shipper.ignite.gateway.routes import ROUTES
from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.http11 import Http11Transport
from shipper.ignite.transport import Request, Transport
from tests.bench.processes import ROOT
from tests.bench.transports import HEADERS, ORGANIZATION, PATH, stream_request

_ENDS = ("bench-end", "1")
_AS_GRPC = ["--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers"]


def what() -> str:
    """Which floor this machine gives."""
    return "curl | zstd -3" if _installed() else "http2 | zstandard -3"


def cpu_s(replicas: Sequence[str], port: int, directory: Path, *, http: bool = False) -> float:
    """CPU of taking the full history of every replica, one after the other; over the HTTP gateway if asked."""
    return sum(_cpu_of_one(replica_id, port, directory, http=http) for replica_id in replicas)


def _installed() -> bool:
    return bool(shutil.which("curl") and shutil.which("zstd"))


def _cpu_of_one(replica_id: str, port: int, directory: Path, *, http: bool) -> float:
    request = stream_request(replica_id)
    (directory / "request").write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)
    path = _gateway_path(replica_id) if http else PATH
    output = str(directory / "floor.zst")
    if not _installed():
        command = [
            sys.executable,
            "-m",
            "tests.bench.floor",
            str(port),
            path,
            str(directory / "request"),
            output,
        ]
        return _cpu_until_end(subprocess.Popen(command, cwd=ROOT))
    asked = [] if http else [*_AS_GRPC, "--data-binary", f"@{directory / 'request'}"]
    curl = subprocess.Popen(
        ["curl", "-sS", *asked, "-H", ": ".join(_ENDS), f"http://127.0.0.1:{port}{path}"],
        stdout=subprocess.PIPE,
    )
    zstd = subprocess.Popen(["zstd", "-3", "-q", "-f", "-o", output], stdin=curl.stdout)
    assert curl.stdout is not None
    curl.stdout.close()
    return _cpu_until_end(curl) + _cpu_until_end(zstd)


def _gateway_path(replica_id: str) -> str:
    """The load server goes by the replica alone."""
    app = {"organization_name": ORGANIZATION, "app_name": "app-0"}
    return ROUTES["StreamAppLogs"].url({**app, "replica_id": replica_id, "from_start": True})


def _cpu_until_end(process: subprocess.Popen[bytes]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


async def _read(port: int, path: str, request: Path, output: Path) -> None:
    where = f"127.0.0.1:{port}"
    grpc = path == PATH
    transport: Transport = (
        Http2Transport(Dial("127.0.0.1", port), where) if grpc else Http11Transport(f"http://{where}", where)
    )
    asked = (
        Request("POST", PATH, (*HEADERS, _ENDS), request.read_bytes())
        if grpc
        else Request("GET", path, (_ENDS,))
    )
    response = await transport.send(asked)
    await response.begun()
    with output.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as writer:
        async for data in response.body():
            writer.write(data)
    await transport.aclose()


if __name__ == "__main__":
    uvloop.run(_read(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
