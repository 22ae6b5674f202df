"""The server's side of HTTP/2 for the load server: streams whose bodies are read from a growing buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, cast
from urllib.parse import quote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from h2.settings import SettingCodes

_WRITE_AT: Final = 256 * 1024  # bytes gathered for one write to the socket
_TURN: Final = 64 * 1024  # bytes that a stream may send before the next one has its turn

Call = Callable[["Stream", str, dict[str, str], bytes], None]
"""Answers a request: stream, path, headers, body without gRPC's prefix."""


class Stream:
    """One call. `source` is its body: what is appended there is sent with the next `pump`."""

    def __init__(self, connection: Connection, stream_id: int, headers: dict[str, str]) -> None:
        self.connection = connection
        self.id = stream_id
        self.headers = headers
        self.request = bytearray()
        self.source = bytearray()
        self.sent = 0
        self.held = False
        self.ends = False
        self.on_close: Callable[[], object] = lambda: None

    @property
    def unsent(self) -> int:
        return len(self.source) - self.sent

    def begin(self) -> None:
        """Headers of an answer."""
        self.connection.h2.send_headers(self.id, [(":status", "200"), ("content-type", "application/grpc")])
        self.connection.flush()

    def answer(self, body: bytes) -> None:
        """A whole answer."""
        self.begin()
        self.source += body
        self.ends = True
        self.pump()

    def refuse(self, code: int, message: str) -> None:
        """An answer that is only a status."""
        self.connection.h2.send_headers(
            self.id,
            [
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", str(code)),
                ("grpc-message", quote(message)),
            ],
            end_stream=True,
        )
        self.connection.close_stream(self)

    def pump(self) -> None:
        """Send what is there, as far as the client's windows and the socket allow."""
        if not self.held and (self.unsent or self.ends):
            self.connection.ready[self.id] = self
            self.connection.pump()


class Connection(asyncio.Protocol):
    """One connection; `call` answers each request when it is complete."""

    def __init__(self, call: Call, *, max_streams: int) -> None:
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_inbound_headers=False
            )
        )
        self.streams: dict[int, Stream] = {}
        self.ready: dict[int, Stream] = {}  # streams that have something to send, in turn
        self._call = call
        self._max_streams = max_streams
        self._paused = False

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type
        self._transport.set_write_buffer_limits(high=2 * _WRITE_AT)
        self.h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = self._max_streams
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        for stream in list(self.streams.values()):
            stream.on_close()
        self.streams.clear()
        self.ready.clear()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.pump()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self._handle(event)
        self.flush()
        self.pump()

    # ---- HTTP/2 ----

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=stream_id, headers=headers):
                self.streams[stream_id] = Stream(
                    self, stream_id, dict(cast(Iterable[tuple[str, str]], headers))
                )
            case h2.events.DataReceived(stream_id=stream_id, data=data, flow_controlled_length=length):
                self.h2.acknowledge_received_data(length, stream_id)
                if stream_id in self.streams:
                    self.streams[stream_id].request += data
            case h2.events.StreamEnded(stream_id=stream_id):
                stream = self.streams[stream_id]
                self._call(stream, stream.headers[":path"], stream.headers, bytes(stream.request[5:]))
            case h2.events.StreamReset(stream_id=stream_id):
                if stream_id in self.streams:
                    self.close_stream(self.streams[stream_id])
            case h2.events.WindowUpdated(stream_id=stream_id):
                self._wake(stream_id)
            case h2.events.RemoteSettingsChanged():
                self._wake(0)
            case h2.events.ConnectionTerminated():
                self._transport.close()

    def _wake(self, stream_id: int) -> None:
        """Streams that a larger window may let go on; 0 means all of them."""
        streams = self.streams.values() if stream_id == 0 else filter(None, [self.streams.get(stream_id)])
        for stream in streams:
            if stream.unsent and not stream.held:
                self.ready[stream.id] = stream

    def pump(self) -> None:
        """Send for the streams that are ready, a turn each, until the socket has enough."""
        gathered = 0
        while self.ready and not self._paused:
            stream_id, stream = next(iter(self.ready.items()))
            del self.ready[stream_id]
            sent = self._send(stream)
            gathered += sent
            if sent and stream.unsent:
                self.ready[stream_id] = stream
            elif not stream.unsent and stream.ends:
                self.h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
                self.close_stream(stream)
            if gathered >= _WRITE_AT:
                self.flush()
                gathered = 0
        self.flush()

    def _send(self, stream: Stream) -> int:
        total = 0
        while total < _TURN and stream.unsent:
            room = min(
                self.h2.local_flow_control_window(stream.id), self.h2.max_outbound_frame_size, stream.unsent
            )
            if room <= 0:
                break
            self.h2.send_data(stream.id, bytes(stream.source[stream.sent : stream.sent + room]))
            stream.sent += room
            total += room
        return total

    def flush(self) -> None:
        """Hand to the socket what h2 has gathered."""
        data = self.h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def close_stream(self, stream: Stream) -> None:
        """Forget a call that has ended."""
        stream.on_close()
        self.streams.pop(stream.id, None)
        self.ready.pop(stream.id, None)
