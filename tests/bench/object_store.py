"""A stand-in for S3 in a process of its own: takes every PUT, keeps the objects in memory, says what it has.

Commands come as lines on standard input (`status`, `forget`), each answered with one line of JSON; the process
ends with its standard input. Objects are read back with GET.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from hashlib import md5
from typing import Any

import uvloop
from aiohttp import web

_LARGEST = 1024**3


class ObjectStore:
    """Objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.size = 0
        self.last_put_at = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        """PUT, GET and HEAD; signatures are not looked at."""
        if request.method == "PUT":
            body = await request.read()
            self.size += len(body) - len(self.objects.get(request.path, b""))
            self.objects[request.path] = body
            self.last_put_at = time.monotonic()
            return web.Response(headers={"ETag": f'"{md5(body).hexdigest()}"'})
        body = self.objects.get(request.path, b"")
        return web.Response(status=200 if body else 404, body=body)

    def command(self, line: str) -> dict[str, Any]:
        """Do what a line of standard input says; the answer."""
        if line == "forget":
            self.objects.clear()
            self.size = 0
        return {"paths": list(self.objects), "bytes": self.size, "last_put_at": self.last_put_at}


async def _serve() -> None:
    store = ObjectStore()
    app = web.Application(client_max_size=_LARGEST)
    app.router.add_route("*", "/{path:.*}", store.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    async for line in reader:
        print(json.dumps(store.command(line.decode().strip())), flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(_serve())
