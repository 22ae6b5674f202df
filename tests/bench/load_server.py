"""An Ignite that only serves logs, as fast as a connection takes them, in a process of its own.

It has no gRPC library: bodies are encoded beforehand and packed into full DATA frames, as any server does that
has a backlog. With `--http` it is the HTTP gateway instead: objects of JSON, one a line, in chunks that are full
(`full`) or hold a line each (`lines`). A stream ends only for a client that asks for it with the header `bench-end`.
Commands come as lines on standard input (`go`, `hold`, `print RATE`, `status`), each answered with one line of JSON;
the process ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from shipper.emulator.text import generated_lines, lines_of_files
from tests.bench import http1
from tests.bench.http2 import Connection, Stream
from tests.bench.printed import Encode, Printed, grpc_line, grpc_message, json_chunk, json_line, text_field

_SERVICE: Final = "/dodil.ignite.v1.ComputeService/"
_TICK_S: Final = 0.005
_TEXTS: Final = 20_000  # different lines, again and again
_ENCODE: Final[dict[str, Encode]] = {"": grpc_line, "full": json_line, "lines": json_chunk}


class LoadServer:
    """The calls, the printing, and the commands."""

    def __init__(self, printed: Printed, *, chunked: bool) -> None:
        self.printed = printed
        self.chunked = chunked
        self.flowing = False
        self.followers: dict[str, set[Stream | http1.Exchange]] = {
            replica_id: set() for replica_id in printed.replicas
        }
        self.opened = 0
        self.first_byte_at = 0.0
        self._printing: asyncio.Task[None] | None = None

    # ---- calls ----

    def call(self, stream: Stream, path: str, headers: dict[str, str], request: bytes) -> None:
        """Answer one request."""
        match path.removeprefix(_SERVICE):
            case "ListAppReplicas":
                app = _text(request, 2)
                rows = (one.replica_id for one in self.printed.replicas.values() if one.app == app)
                # status RUNNING, ready, started at some time
                row = b"".join(
                    text_field(1, text_field(1, name.encode()) + b"\x20\x01\x28\x01") for name in rows
                )
                stream.answer(grpc_message(row))
            case "GetAppLogs" | "GetAppEvents":
                stream.answer(grpc_message(b""))
            case "StreamAppEvents":
                stream.begin()
            case "StreamAppLogs":
                self._follow(stream, _text(request, 3), ends="bench-end" in headers)
            case _:
                stream.refuse(12, "not in this server")

    def get(self, exchange: http1.Exchange) -> None:
        """Answer one request of the HTTP gateway."""
        match exchange.path:
            case ["v1", "ignite", "app", _, app, "replicas"]:
                rows = [
                    {"replicaId": one.replica_id, "status": "STATUS_RUNNING", "ready": True}
                    for one in self.printed.replicas.values()
                    if one.app == app
                ]
                exchange.answer(json.dumps({"replicas": rows}).encode())
            case ["v1", "ignite", "app", _, _, "logs" | "events"]:
                exchange.answer(b"{}")
            case ["v1", "ignite", "app", _, _, "events", "stream"]:
                exchange.begin()
            case ["v1", "ignite", "app", _, _, "logs", "stream"]:
                exchange.chunked = self.chunked
                self._follow(
                    exchange, exchange.query.get("replicaId", ""), ends="bench-end" in exchange.headers
                )
            case _:
                exchange.refuse(12, "not in this server")

    def _follow(self, stream: Stream | http1.Exchange, replica_id: str, *, ends: bool) -> None:
        replica = self.printed.replicas.get(replica_id)
        if replica is None:
            stream.refuse(5, "no such replica")
            return
        self.opened += 1
        stream.begin()
        stream.source = replica.body
        followers = self.followers[replica_id]
        followers.add(stream)
        stream.on_close = lambda: followers.discard(stream)
        stream.ends = ends
        stream.held = not (self.flowing or ends)
        stream.pump()

    # ---- commands ----

    def command(self, line: str) -> dict[str, Any]:
        """Do what a line of standard input says; the answer."""
        match line.split():
            case ["go"]:
                self._let_flow(True)
            case ["hold"]:
                self._let_flow(False)
            case ["print", rate]:
                self._print(float(rate))
            case ["status"]:
                pass
            case _:
                return {"error": f"unknown command {line!r}"}
        return self.status()

    def status(self) -> dict[str, Any]:
        streams = [stream for followers in self.followers.values() for stream in followers]
        return {
            "at": time.monotonic(),
            "printed": self.printed.tally.count,
            "tally": str(self.printed.tally),
            "bytes": sum(len(replica.body) for replica in self.printed.replicas.values()),
            "streams": len(streams),
            "opened": self.opened,
            "unsent": sum(stream.unsent for stream in streams),
        }

    def _let_flow(self, flowing: bool) -> None:
        self.flowing = flowing
        for followers in self.followers.values():
            for stream in list(followers):
                stream.held = not flowing
                stream.pump()

    def _print(self, rate: float) -> None:
        if self._printing is not None:
            self._printing.cancel()
        self._printing = asyncio.create_task(self._keep_printing(rate), name="print") if rate else None

    async def _keep_printing(self, rate: float) -> None:
        loop = asyncio.get_running_loop()
        began, done = loop.time(), 0
        while True:
            due = int((loop.time() - began) * rate) - done
            done += due
            for replica in set(self.printed.print_next(due, time.time_ns() // 1_000_000)):
                for stream in self.followers[replica.replica_id]:
                    stream.pump()
            await asyncio.sleep(_TICK_S)


def _text(message: bytes, wanted: int) -> str:
    """A string field with a number below 16 of a message with no other kinds of field before it."""
    at = 0
    while at < len(message):
        tag, size, at = message[at], message[at + 1], at + 2
        if tag & 7 != 2:
            break
        if size > 0x7F:
            size, at = size & 0x7F | message[at] << 7, at + 1
        if tag >> 3 == wanted:
            return message[at : at + size].decode()
        at += size
    return ""


async def _serve(arguments: argparse.Namespace) -> None:
    source = lines_of_files(arguments.lines) if arguments.lines else generated_lines(seed=1)
    texts = [source.line("app") for _ in range(_TEXTS)]
    printed = Printed(arguments.apps, arguments.replicas, texts, _ENCODE[arguments.http])
    printed.history(arguments.history, arguments.pace, time.time_ns() // 1_000_000)
    server = LoadServer(printed, chunked=arguments.http == "lines")
    loop = asyncio.get_running_loop()

    def connection() -> asyncio.Protocol:
        if arguments.http:
            return http1.Connection(server.get)
        return Connection(server.call, max_streams=arguments.streams)

    listener = await loop.create_server(connection, "127.0.0.1", 0, backlog=1024)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"port": listener.sockets[0].getsockname()[1]}), flush=True)
    async for line in reader:
        print(json.dumps(server.command(line.decode().strip())), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=1)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--history", type=int, default=0, help="lines that each replica has printed before")
    parser.add_argument("--pace", type=int, default=2000, help="at so many lines a second")
    parser.add_argument("--streams", type=int, default=100, help="streams that a connection may carry")
    parser.add_argument("--http", choices=["full", "lines"], default="", help="the HTTP gateway")
    parser.add_argument("--lines", type=Path, nargs="+", help="text to print, in place of a made-up one")
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
