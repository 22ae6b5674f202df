"""The other end of an HTTP/2 connection, in memory: another's HTTP/2 (`h2`) reads what ours sends, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes, Settings

from shipper.ignite.http2.connection import Connection
from shipper.ignite.http2.keepalive import DEFAULT, Timing
from shipper.ignite.http2.stream import Stream
from shipper.ignite.transport import Request

GRPC = ((":status", "200"), ("content-type", "application/grpc"))
HEADERS = (("content-type", "application/grpc"), ("te", "trailers"))


class Loopback(asyncio.Transport):
    """Keeps what is written. `backlog` is what it says of bytes that the other side has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.backlog = 0
        self.closed = self.aborted = False

    def write(self, data: Any) -> None:
        assert not self.closed, "written to after its end"
        self.written += data
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


@dataclass(slots=True)
class FarSide:
    """Make one with `far_side`. Events that `h2` made of what it heard are in `events`."""

    connection: Connection
    transport: Loopback
    h2: h2.connection.H2Connection
    events: list[h2.events.Event] = field(default_factory=list)

    def send(self, path: str = "/", body: bytes = b"request") -> Stream:
        """A request of ours, heard at the other side."""
        stream = self.connection.send(Request("POST", path, HEADERS, body))
        self.hear()
        return stream

    def hear(self) -> list[h2.events.Event]:
        """Let the other side read what was written; the new events."""
        data = bytes(self.transport.written)
        self.transport.written.clear()
        new = self.h2.receive_data(data)
        self.events += new
        return new

    def say(self) -> None:
        """Let our side read what `h2` has to send."""
        self.connection.data_received(self.h2.data_to_send())

    def answer(self, stream: Stream, *pieces: bytes, headers: Iterable[tuple[str, str]] = GRPC) -> None:
        """Headers and body, read by us in one go."""
        self.h2.send_headers(stream.id, headers)
        self.data(stream, *pieces)

    def data(self, stream: Stream, *pieces: bytes) -> None:
        """More of a body."""
        for piece in pieces:
            self.h2.send_data(stream.id, piece)
        self.say()

    def trailers(self, stream: Stream, *trailers: tuple[str, str]) -> None:
        """The end of an answer."""
        self.h2.send_headers(stream.id, trailers or [("grpc-status", "0")], end_stream=True)
        self.say()

    def resets(self) -> dict[int, int]:
        """Streams that our side gave up, and why."""
        self.hear()
        return {
            event.stream_id or 0: int(event.error_code or 0)
            for event in self.events
            if isinstance(event, h2.events.StreamReset)
        }


def far_side(
    settings: dict[SettingCodes | int, int] | None = None, *, timing: Timing = DEFAULT, greet: bool = True
) -> FarSide:
    """Both ends of a connection; unless told otherwise, both have said what they take."""
    connection, transport = Connection("http", "ignite.example:80", timing), Loopback()
    config = h2.config.H2Configuration(
        client_side=False,
        header_encoding="utf-8",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    server = h2.connection.H2Connection(config)
    server.local_settings = Settings(client=False, initial_values=settings or {})
    connection.connection_made(transport)
    far = FarSide(connection, transport, server)
    if greet:
        server.initiate_connection()
        far.say()
        far.hear()
        far.say()
    return far


async def read_all(stream: Stream) -> bytes:
    """A body to its end."""
    return b"".join([data async for data in stream.body()])


async def read_now(stream: Stream) -> bytes:
    """All that is there of a body; something must be. What is granted for it has been sent."""
    async with asyncio.timeout(0.5):
        data = await anext(stream.body())
        while stream.unread:
            data += await anext(stream.body())
    await asyncio.sleep(0)
    return data
