"""A stand-in for S3 in a process of its own: takes every upload, whole or in parts, keeps the objects in memory, says
what it has.

Commands come as lines on standard input (`status`, `forget`), each answered with one line of JSON; the process
ends with its standard input. Objects are read back with GET.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from hashlib import md5
from typing import Any, Final

import uvloop
from aiohttp import web

_LARGEST: Final = 1024**3


class ObjectStore:
    """Objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.size = 0
        self.last_put_at = 0.0
        self._parts: dict[str, dict[int, bytes]] = {}  # of uploads that are not complete, by their ids

    async def answer(self, request: web.Request) -> web.Response:
        """PUT, GET, HEAD and uploads in parts; signatures and checksums are not looked at."""
        body = _content(request, await request.read())
        match request.method:
            case "PUT":
                if "uploadId" in request.query:
                    self._parts[request.query["uploadId"]][int(request.query["partNumber"])] = body
                else:
                    self._put(request.path, body)
                return web.Response(headers={"ETag": f'"{md5(body).hexdigest()}"'})
            case "POST":
                return self._in_parts(request)
        body = self.objects.get(request.path, b"")
        return web.Response(status=200 if body else 404, body=body)

    def _in_parts(self, request: web.Request) -> web.Response:
        """Begin or complete an upload."""
        upload_id = request.query.get("uploadId")
        if upload_id is None:
            upload_id = f"upload-{len(self._parts)}"
            self._parts[upload_id] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
        parts = self._parts[upload_id]
        self._put(request.path, b"".join(parts[number] for number in sorted(parts)))
        parts.clear()
        return _xml("CompleteMultipartUploadResult", '<ETag>"parts"</ETag>')

    def _put(self, path: str, body: bytes) -> None:
        self.size += len(body) - len(self.objects.get(path, b""))
        self.objects[path] = body
        self.last_put_at = time.monotonic()

    def command(self, line: str) -> dict[str, Any]:
        """Do what a line of standard input says; the answer."""
        if line == "forget":
            self.objects.clear()
            self.size = 0
        return {"paths": list(self.objects), "bytes": self.size, "last_put_at": self.last_put_at}


def _content(request: web.Request, body: bytes) -> bytes:
    """What is stored: some clients send it in pieces with their sizes, and a checksum behind them
    (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html).
    """
    if not request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return body
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


def _xml(name: str, content: str) -> web.Response:
    return web.Response(text=f"<{name}>{content}</{name}>", content_type="application/xml")


async def _serve() -> None:
    store = ObjectStore()
    app = web.Application(client_max_size=_LARGEST)
    app.router.add_route("*", "/{path:.*}", store.answer)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
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
