"""Compares ways to read a log stream: grpc.aio message by message, and the HTTP/2 body as bytes.

`python -m tests.bench.transports` runs each client in a process of its own against one load server. The figures say why
a stream is read as bytes (docs/performance.md).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

import grpc
import uvloop

from shipper.ignite.contract import bundled
from shipper.ignite.decode import LogDecoder
from shipper.ignite.dial import Dial
from shipper.ignite.framing import Deframer, Messages, frame
from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.pb.ignite_compute_pb2 import LogLine, StreamAppLogsRequest
from shipper.ignite.transport import Request
from tests.bench.printed import replica_name
from tests.bench.processes import ROOT, Server

PATH: Final = "/dodil.ignite.v1.ComputeService/StreamAppLogs"
ORGANIZATION: Final = "acme"

Reader = Callable[[Sequence[str], int, int], Awaitable[int]]
"""Reads so many lines of each replica from 127.0.0.1:port; how many it read."""

Take = Callable[[bytes], bool]
"""Takes bytes of a stream's body; whether more are wanted."""

HEADERS: Final = (("content-type", "application/grpc"), ("te", "trailers"))


def stream_request(replica_id: str) -> bytes:
    """A request for a replica's full history."""
    return StreamAppLogsRequest(
        organization_name=ORGANIZATION, app_name="app-0", replica_id=replica_id, from_start=True
    ).SerializeToString()


async def grpc_aio(replicas: Sequence[str], lines: int, port: int, *, parse: bool) -> int:
    """grpcio's asyncio client."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_stream(PATH, response_deserializer=LogLine.FromString if parse else None)

        async def read(replica_id: str) -> int:
            count = 0
            stream = call(stream_request(replica_id))
            async for _ in stream:
                count += 1
                if count == lines:
                    break
            stream.cancel()
            return count

        return sum(await asyncio.gather(*map(read, replicas)))


def counter(replica_id: str, lines: int, *, parse: bool) -> tuple[Take, Callable[[], int]]:
    """Cuts a body into messages, decodes them if asked to, and counts until there are enough: shipper's own code."""
    twin = bundled().calls["StreamAppLogs"].response
    decode: Callable[[Messages], object] = LogDecoder(twin, replica_id).decode if parse else id
    count, deframer = 0, Deframer()

    def take(data: bytes) -> bool:
        nonlocal count
        messages = deframer.feed(data)
        decode(messages)
        count += len(messages.bodies)
        return count < lines

    return take, lambda: count


async def body(replicas: Sequence[str], lines: int, port: int, *, parse: bool) -> int:
    """The body as shipper's own transport gives it."""
    transport = Http2Transport(Dial("127.0.0.1", port), f"127.0.0.1:{port}")

    async def read(replica_id: str) -> int:
        take, count = counter(replica_id, lines, parse=parse)
        request = Request("POST", PATH, HEADERS, frame(stream_request(replica_id)))
        response = await transport.send(request)
        async for data in response.body():
            if not take(data):
                break
        response.close()
        return count()

    try:
        return sum(await asyncio.gather(*map(read, replicas)))
    finally:
        await transport.aclose()


CLIENTS: Final[dict[str, tuple[str, Reader]]] = {
    "grpc-parsed": (
        f"`grpc.aio` {version('grpcio')}, parsed messages",
        lambda *arguments: grpc_aio(*arguments, parse=True),
    ),
    "grpc-raw": (
        f"`grpc.aio` {version('grpcio')}, bytes of messages, not parsed",
        lambda *arguments: grpc_aio(*arguments, parse=False),
    ),
    "body-raw": (
        "the body, split at the prefixes, not parsed",
        lambda *arguments: body(*arguments, parse=False),
    ),
    "body-parsed": (
        "the body, parsed in bulk (what shipper does)",
        lambda *arguments: body(*arguments, parse=True),
    ),
}


def measure_here(client: str, replicas: Sequence[str], lines: int, port: int) -> dict[str, float]:
    """Run one client in this process."""
    began, cpu = time.monotonic(), time.process_time()
    count = uvloop.run(_counted(CLIENTS[client][1](replicas, lines, port)))
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"per_s": count / seconds, "per_cpu_s": count / cpu_s, "memory_mb": memory_mb}


async def _counted(reading: Awaitable[int]) -> int:
    return await reading


def measure(client: str, port: int, streams: int, lines: int) -> dict[str, float]:
    """Run one client in a process of its own."""
    replicas = [replica_name(index, apps=1) for index in range(streams)]
    command = [sys.executable, "-m", "tests.bench.transports", "--client", client]
    done = subprocess.run(
        [*command, "--port", str(port), "--lines-each", str(lines), *replicas],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def compare(lines_each: int, slow_lines_each: int, runs: int, texts: Sequence[Path]) -> list[str]:
    """The table, in Markdown. grpc.aio gets fewer lines: its pace does not depend on how many there are."""
    options: list[Any] = ["--lines", *texts] if texts else []
    rows = [
        "| client | one stream, lines/s | per CPU-second | eight streams, lines/s | per CPU-second | peak RSS |",
        "|---|---|---|---|---|---|",
    ]
    with Server(
        "tests.bench.load_server", "--replicas", 8, "--history", lines_each, "--streams", 100, *options
    ) as server:
        server.ask("go")
        for client, (title, _) in CLIENTS.items():
            lines = slow_lines_each if client.startswith("grpc") else lines_each
            cells = [title]
            for streams in (1, 8):
                results = [measure(client, server.port, streams, lines) for _ in range(runs)]
                cells += [f"{median(one[key] for one in results):,.0f}" for key in ("per_s", "per_cpu_s")]
                memory_mb = max(one["memory_mb"] for one in results)
            rows.append(f"| {' | '.join(cells)} | {memory_mb:.0f} MB |")
            print(rows[-1], file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lines-each", type=int, default=200_000)
    parser.add_argument("--lines", type=Path, nargs="+", default=[], help="text, in place of a made-up one")
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("replicas", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        print(
            json.dumps(
                measure_here(arguments.client, arguments.replicas, arguments.lines_each, arguments.port)
            )
        )
        return
    slow = min(arguments.lines_each, 50_000)
    print("\n".join(compare(arguments.lines_each, slow, arguments.runs, arguments.lines)))


if __name__ == "__main__":
    main()
