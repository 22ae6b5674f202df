"""One HTTP/2 connection: an asyncio protocol that sends requests, and says what every frame that is not DATA means.

Whatever the other side does, memory is bounded: DATA by the windows, header blocks by their own bounds, other frames by
MAX_FRAME, and what it does not read of ours by MOST_UNREAD.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final, cast

from shipper.ignite.http2 import frames
from shipper.ignite.http2.fields import MOST_BYTES, Block, BlockWriter
from shipper.ignite.http2.frames import ACK, MAX_STREAM_ID, ErrorCode, RuleBroken, Setting
from shipper.ignite.http2.inflow import Inflow
from shipper.ignite.http2.keepalive import DEFAULT, Keepalive, Timing
from shipper.ignite.http2.stream import Stream
from shipper.ignite.http2.window import CONNECTION_WINDOW, INITIAL, STREAM_WINDOW, Outbound
from shipper.ignite.transport import (
    NO_HEADERS,
    ConnectionLost,
    NotTaken,
    NotUnderstood,
    Request,
    StreamReset,
    TransportError,
    tidy,
)

MOST_UNREAD: Final = 1024 * 1024
UNLIMITED: Final = 2**32 - 1  # streams, until the other side states something else
_OUR_SETTINGS: Final = {
    Setting.ENABLE_PUSH: 0,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    Setting.MAX_HEADER_LIST_SIZE: MOST_BYTES,
}
_PING: Final = b"shipper?"
_TOO_MANY_PINGS: Final = b"too_many_pings"  # as gRPC's servers word it


PROTOCOL: Final = "h2"  # its name in TLS (RFC 9113 section 3.2)


def agreed(transport: asyncio.BaseTransport) -> bool:
    """Whether both sides agreed to HTTP/2 when TLS was set up; without TLS it is taken for granted."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == PROTOCOL


class Connection(asyncio.Protocol):
    """Carries requests to `authority`. `ready` is done when the other side has said what it takes (its SETTINGS), or
    fails with NotUnderstood; `lost` is done when the connection is over.
    """

    def __init__(self, scheme: str, authority: str, timing: Timing = DEFAULT) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.limit = UNLIMITED
        self.calm_asked = False
        self._origin = ((":scheme", scheme), (":authority", authority))
        self._time = loop.time
        self._soon = loop.call_soon
        self._out: list[bytes] = []
        self._flushes = False  # soon
        self._next_id = 1
        self._draining = ""  # why no further stream may be opened
        self._over: TransportError | None = None
        self._inflow = Inflow(self)
        self._outbound = Outbound()
        self._blocks = BlockWriter()
        self._streams = self._inflow.streams
        self._keepalive = Keepalive(
            timing, wanted=lambda: bool(self._streams), ping=self._send_ping, dead=self._dead
        )

    # ---- requests ----

    @property
    def takes_more(self) -> bool:
        """Whether further requests may be sent, if not now then later."""
        return not self._draining and self._over is None

    def send(self, request: Request) -> Stream:
        """Open a stream. Raises NotTaken where the connection carries no more."""
        if self._over is not None or self._draining:
            raise NotTaken(self._draining or str(self._over))
        if len(self._streams) >= self.limit:
            raise NotTaken(f"the connection carries {self.limit} requests, as many as the server allows")
        stream = Stream(self, self._next_id)
        self._next_id += 2
        if self._next_id > MAX_STREAM_ID:
            self._draining = "the connection has carried all the requests it can"
        self._streams[stream.id] = stream
        block = self._blocks.encode(
            ((":method", request.method), *self._origin, (":path", request.path), *request.headers)
        )
        self._out.append(frames.header_block(stream.id, block, ends=not request.body))
        if request.body:
            self._out.append(self._outbound.send(stream.id, request.body))
        self._flush()
        return stream

    def taken(self, stream: Stream, size: int) -> None:
        """A reader took bytes. One read of the socket wakes many readers: what they grant is sent in one write."""
        self.grant(stream.id, size)
        if self._out and not self._flushes:
            self._flushes = True
            self._soon(self._flush)

    def drop(self, stream: Stream) -> None:
        """A reader wants no more of its stream."""
        self.grant(0, stream.unread)
        if self._streams.get(stream.id) is stream:
            self._out.append(frames.reset(stream.id, ErrorCode.CANCEL))
            stream.fail(ConnectionLost("the request was given up"))
            self._forget(stream)
        self._flush()

    def close(self) -> None:
        """End the connection, and what is open on it."""
        if self._over is None:
            self._out.append(frames.goaway(ErrorCode.NO_ERROR))
            self._flush()
            self._end(ConnectionLost("the connection was closed"))
        self._transport.close()

    def abort(self) -> None:
        """End it without a word."""
        self._end(ConnectionLost("the connection was closed"))
        self._transport.abort()

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type
        if not agreed(transport):
            return  # who speaks another version would take our words for a request
        self._out += (
            frames.PREFACE,
            frames.settings(_OUR_SETTINGS),
            frames.window_update(0, CONNECTION_WINDOW - INITIAL),
        )
        self._flush()
        self._keepalive.start()

    def connection_lost(self, error: Exception | None) -> None:
        what = "the server closed the connection"
        if error is not None:
            what = f"the connection broke: {tidy(str(error)) or type(error).__name__}"
        if self._draining:
            what = f"{what} ({self._draining})"
        failure = ConnectionLost(what) if self.ready.done() else NotUnderstood(what)
        failure.__cause__ = error
        self._end(failure)
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._over is not None:
            return
        self._keepalive.heard_at = self._time()
        try:
            if self._inflow.feed(data):
                self._keepalive.brought = True
        except RuleBroken as broken:
            self._break(broken, data)
        self._flush()

    # ---- what comes in (Receiver) ----

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """A whole frame. Kinds that are not known mean nothing, and neither does PRIORITY any more."""
        if not self.ready.done() and (kind != frames.SETTINGS or flags & ACK):
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "did not begin with SETTINGS")
        match kind:
            case frames.HEADERS:
                self._on_block(self._inflow.blocks.headers(flags, stream_id, payload))
            case frames.CONTINUATION:
                self._on_block(self._inflow.blocks.continuation(flags, stream_id, payload))
            case frames.RST_STREAM:
                self._on_reset(stream_id, frames.read_number(payload))
            case frames.SETTINGS:
                self._on_settings(flags, stream_id, payload)
            case frames.PUSH_PROMISE:
                raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "pushed what nobody asked for")
            case frames.PING:
                self._on_ping(flags, stream_id, payload)
            case frames.GOAWAY:
                self._on_goaway(stream_id, payload)
            case frames.WINDOW_UPDATE:
                if stream_id:
                    self.check_opened(stream_id)
                self._out.append(self._outbound.granted(stream_id, frames.read_number(payload)))

    def check_opened(self, stream_id: int) -> None:
        if not stream_id & 1 or stream_id >= self._next_id:
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a frame of a stream that was never opened")

    def grant(self, stream_id: int, size: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and (more := stream.inbound.taken(size)):
            self._out.append(frames.window_update(stream_id, more))
        if more := self._inflow.window.taken(size):
            self._out.append(frames.window_update(0, more))

    def ended(self, stream: Stream, trailers: Mapping[str, str] = NO_HEADERS) -> None:
        """An answer is complete. Where the request is not, nobody will read the rest of it."""
        stream.end(trailers)
        if self._outbound.drop(stream.id):
            self._out.append(frames.reset(stream.id, ErrorCode.NO_ERROR))
        self._forget(stream)

    def spoiled(self, stream: Stream, what: str) -> None:
        self._out.append(frames.reset(stream.id, ErrorCode.PROTOCOL_ERROR))
        stream.fail(StreamReset(f"sent {what}", ErrorCode.PROTOCOL_ERROR))
        self._forget(stream)

    def _on_block(self, block: Block | None) -> None:
        """A header list, if it is whole: an answer's beginning, its trailers, or something on the way to it."""
        if block is None:
            return
        self._keepalive.brought = True
        stream, status = self._streams.get(block.stream_id), block.fields.status
        if stream is None:
            self.check_opened(block.stream_id)
        elif stream.status and block.ends:
            self.ended(stream, block.fields.values)
        elif stream.status:
            self.spoiled(stream, "headers in the middle of its body")
        elif status >= 200:
            stream.begin(status, block.fields.values)
            if block.ends:
                self.ended(stream)
        elif status < 100 or block.ends:
            self.spoiled(stream, "headers without a status")

    def _on_reset(self, stream_id: int, code: int) -> None:
        self.check_opened(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if code == ErrorCode.NO_ERROR and stream.status:  # all was said (RFC 9113 section 8.1), or cut short
            stream.end()
        else:
            stream.fail(StreamReset(f"reset the stream ({frames.code_name(code)})", code))
        self._forget(stream)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or (flags & ACK and payload):
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent SETTINGS that are none")
        if flags & ACK:
            return
        self._out.append(frames.pack(frames.SETTINGS, ACK, 0))  # before what is sent in reliance on them
        for number, value in frames.read_settings(payload):
            match number:
                case Setting.HEADER_TABLE_SIZE:
                    self._blocks.table_size(value)
                case Setting.MAX_CONCURRENT_STREAMS:
                    self.limit = value
                case Setting.INITIAL_WINDOW_SIZE:
                    self._out.append(self._outbound.initial(value))
        if not self.ready.done():
            self.ready.set_result(None)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != len(_PING):
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a PING that is none")
        if not flags & ACK:
            self._out.append(frames.pack(frames.PING, ACK, 0, payload))

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        """No further streams; those that the other side has not looked at may go elsewhere, the others go on."""
        if stream_id:
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a GOAWAY on a stream")
        last, code, words = frames.read_goaway(payload)
        reason = tidy(words.decode("utf-8", "replace"))
        self._draining = f"the server said goodbye: {frames.code_name(code)}{reason and f', {reason}'}"
        self.calm_asked = code == ErrorCode.ENHANCE_YOUR_CALM and words == _TOO_MANY_PINGS
        for stream in [stream for stream in self._streams.values() if stream.id > last]:
            stream.fail(NotTaken(self._draining))
            self._forget(stream)
        self._close_if_drained()

    # ---- ends ----

    def _forget(self, stream: Stream) -> None:
        self._inflow.forget(stream)
        self._outbound.drop(stream.id)
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self._draining and not self._streams:
            self.close()

    def _send_ping(self) -> None:
        self._out.append(frames.pack(frames.PING, 0, 0, _PING))
        self._flush()

    def _dead(self, what: str) -> None:
        self._end(ConnectionLost(f"the server {what}"))
        self._transport.abort()

    def _break(self, broken: RuleBroken, data: bytes) -> None:
        """The other side cannot be understood any more."""
        failure: TransportError
        if self.ready.done():
            failure = ConnectionLost(f"the server broke the rules of HTTP/2: it {broken}")
        elif (self._inflow.rest + data).startswith(b"HTTP/1"):
            failure = NotUnderstood("the server speaks HTTP/1.1 only")
        else:
            failure = NotUnderstood("the server answered something that is not HTTP/2")
        failure.__cause__ = broken
        self._out.append(frames.goaway(broken.code))
        self._flush()
        self._end(failure)
        if self._transport.get_write_buffer_size():  # what it does not read would keep the socket open
            self._transport.abort()
        else:
            self._transport.close()

    def _end(self, failure: TransportError) -> None:
        """Whatever is open fails."""
        if self._over is not None:
            return
        self._over = failure
        self._keepalive.stop()
        if not self.ready.done():
            self.ready.set_exception(failure)
            self.ready.exception()  # seen, though perhaps nobody waits any more
        for stream in self._streams.values():
            stream.fail(failure.again())
        self._streams.clear()

    def _flush(self) -> None:
        """Send what has gathered. A side that reads nothing of it gets no more."""
        self._flushes = False
        if not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        if self._over is not None or not data:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MOST_UNREAD:
            self._dead("does not read what it is sent")
