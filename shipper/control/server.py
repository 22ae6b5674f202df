"""The daemon's side of the control socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

from shipper.control.place import NAME, listening
from shipper.control.wire import LONGEST_REQUEST, BadRequest, Call, decode, encode
from shipper.errors import ShipperError

log = logging.getLogger("shipper.control")

CONNECTIONS: Final = 8
PATIENCE_S: Final = 30.0
"""How long a client may take to write its request, and to read each part of the answer."""


class ControlServer:
    """Answers requests on the socket in `directory`, of which the caller holds the lock.

    Only the owner of the daemon can connect. A slow or silent client holds one of a few places for a bounded time;
    nothing that it does or asks can end the daemon.
    """

    def __init__(self, directory: Path, calls: Mapping[str, Call], *, patience_s: float = PATIENCE_S) -> None:
        self._directory = directory
        self._calls = calls
        self._patience_s = patience_s
        self._connections = 0

    async def run(self) -> None:
        """Serve until cancelled. Where there can be no socket, the daemon does without and says so."""
        try:
            listener = listening(self._directory)
        except OSError as error:
            log.warning(
                "there is no control socket: commands reach the buffer only while the daemon is stopped",
                extra={"error": str(error)},
            )
            return
        try:
            async with asyncio.TaskGroup() as group:
                server = await asyncio.start_unix_server(
                    lambda reader, writer: self._connected(group, reader, writer),
                    sock=listener,
                    limit=LONGEST_REQUEST,
                )
                async with server:
                    await server.serve_forever()
        finally:
            listener.close()
            (self._directory / NAME).unlink(missing_ok=True)

    def _connected(
        self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._connections >= CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        group.create_task(self._serve(reader, writer), name="control connection")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                line = await reader.readline()
            if line:
                await self._answer(line, writer)
        except (OSError, TimeoutError, ValueError):  # the client has left, is too slow, or writes without end
            pass
        except Exception:
            log.exception("a command failed; the daemon goes on")
            writer.write(encode({"error": "the command failed; the daemon's log says why"}))
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = decode(line)
            call = self._calls.get(str(request.get("call")))
            if call is None:
                raise BadRequest(
                    f"this daemon has no command {request.get('call')!r}: is it another version?"
                )
            async with aclosing(call(request)) as answers:
                async for answer in answers:
                    await self._write(writer, answer)
        except ShipperError as error:
            await self._write(writer, {"error": str(error)})

    async def _write(self, writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
        writer.write(encode(answer))
        async with asyncio.timeout(self._patience_s):
            await writer.drain()
