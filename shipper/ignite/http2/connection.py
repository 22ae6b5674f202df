"""One HTTP/2 connection: an asyncio protocol that cuts frames and hands them to their streams.

A log stream is nearly all DATA. Those frames are taken apart in `_cut` itself, piece by piece as they arrive; every
other kind goes to the method of its name once it is whole. What one read of the socket brought for a stream is handed
over at once, since its reader runs only after the read.

Whatever the other side does, memory is bounded: DATA by the windows, header blocks by their own bounds, other frames by
MAX_FRAME, and what it does not read of ours by MOST_UNREAD.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, cast

from shipper.ignite.http2 import frames
from shipper.ignite.http2.fields import MOST_BYTES, Block, BlockReader, BlockWriter
from shipper.ignite.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADER,
    HEADER_SIZE,
    MAX_FRAME,
    MAX_STREAM_ID,
    PADDED,
    PING,
    SETTINGS,
    ErrorCode,
    RuleBroken,
    Setting,
)
from shipper.ignite.http2.keepalive import DEFAULT, Keepalive, Timing
from shipper.ignite.http2.stream import Stream
from shipper.ignite.http2.window import CONNECTION_WINDOW, INITIAL, STREAM_WINDOW, Inbound, Outbound
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
_OUR_SETTINGS: Final = {
    Setting.ENABLE_PUSH: 0,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    Setting.MAX_HEADER_LIST_SIZE: MOST_BYTES,
}
_PING: Final = b"shipper?"
_TOO_MANY_PINGS: Final = b"too_many_pings"  # as gRPC's servers word it


class Connection(asyncio.Protocol):
    """Carries requests to `authority`. `ready` is done when the other side has said what it takes (its SETTINGS), or
    fails with NotUnderstood; `lost` is done when the connection is over.
    """

    def __init__(self, scheme: str, authority: str, timing: Timing = DEFAULT) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.limit: int | None = None
        self.calm_asked = False
        self._origin = ((":scheme", scheme), (":authority", authority))
        self._time = loop.time
        self._out: list[bytes] = []
        self._streams: dict[int, Stream] = {}
        self._next_id = 1
        self._draining = ""  # why no further stream may be opened
        self._over: TransportError | None = None
        self._inbound = Inbound(CONNECTION_WINDOW)
        self._outbound = Outbound()
        self._reader, self._writer = BlockReader(), BlockWriter()
        self._rest = b""  # of a frame that is not whole: its header, or all but DATA
        self._due = 0  # bytes of a DATA frame that are still to come,
        self._due_to: Stream | None = None  # for whom,
        self._due_ends = False  # and whether they are the last
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
        if self.limit is not None and len(self._streams) >= self.limit:
            raise NotTaken(f"the connection carries {self.limit} requests, as many as the server allows")
        stream = Stream(self, self._next_id)
        self._next_id += 2
        if self._next_id > MAX_STREAM_ID:
            self._draining = "the connection has carried all the requests it can"
        self._streams[stream.id] = stream
        block = self._writer.encode(
            ((":method", request.method), *self._origin, (":path", request.path), *request.headers)
        )
        self._out.append(frames.header_block(stream.id, block, ends=not request.body))
        if request.body:
            self._out.append(self._outbound.send(stream.id, request.body))
        self._flush()
        return stream

    def taken(self, stream: Stream, size: int) -> None:
        """A reader took bytes: grant as many again, to its stream and to the connection."""
        if stream.id in self._streams and (more := stream.inbound.taken(size)):
            self._out.append(frames.window_update(stream.id, more))
        self._return(size)
        self._flush()

    def drop(self, stream: Stream) -> None:
        """A reader wants no more of its stream."""
        self._return(stream.unread)
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
            self._cut(data)
        except RuleBroken as broken:
            self._break(broken, data)
        self._flush()

    # ---- frames ----

    def _cut(self, data: bytes) -> None:
        at = 0
        if self._due:
            at = self._continue(data)
        elif self._rest:
            data = self._rest + data
        end, unpack, brought = len(data), HEADER.unpack_from, at > 0
        streams, reader, window = self._streams, self._reader, self._inbound
        while end - at >= HEADER_SIZE:
            high, low, kind, flags, stream_id = unpack(data, at)
            start = at + HEADER_SIZE
            size = high << 16 | low
            stop = start + size
            if size > MAX_FRAME:
                raise RuleBroken(ErrorCode.FRAME_SIZE_ERROR, "sent a frame that is too large")
            if reader.open and kind != CONTINUATION:
                raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a frame in the middle of a header block")
            if kind != DATA or flags & PADDED:
                if stop > end:
                    break
                self._take(kind, flags, stream_id & MAX_STREAM_ID, data[start:stop])
                at = stop
                continue
            brought = True
            stream = streams.get(stream_id & MAX_STREAM_ID)
            if stream is None or not stream.status:
                self._stray(stream_id & MAX_STREAM_ID, stream, size)
                stream = None
            elif size:
                window.left -= size
                stream.inbound.left -= size
                if window.left < 0 or stream.inbound.left < 0:
                    raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, "sent more than it was allowed")
                stream.add(data[start:stop])
            if stop > end:
                self._due, self._due_to, self._due_ends = stop - end, stream, bool(flags & END_STREAM)
                at = end
                break
            if flags & END_STREAM and stream is not None:
                self._ended(stream)
            at = stop
        self._rest = data[at:]
        if brought:
            self._keepalive.brought = True

    def _continue(self, data: bytes) -> int:
        """Go on with a DATA frame that came in part before; where the next frame begins."""
        piece = data[: self._due]
        self._due -= len(piece)
        stream = self._due_to
        if stream is not None:
            stream.add(piece)
            if self._due_ends and not self._due:
                self._ended(stream)
        return len(piece)

    def _stray(self, stream_id: int, stream: Stream | None, size: int) -> None:
        """DATA that nobody reads: the stream was given up, or its answer has not begun."""
        self._check_opened(stream_id)
        self._charge(size)
        self._return(size)
        if stream is not None:
            self._spoiled(stream, "a body before its headers")

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """A whole frame. Kinds that are not known mean nothing, and neither does PRIORITY any more."""
        if not self.ready.done() and (kind != SETTINGS or flags & ACK):
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "did not begin with SETTINGS")
        match kind:
            case frames.DATA:
                self._on_padded_data(flags, stream_id, payload)
            case frames.HEADERS:
                self._on_block(self._reader.headers(flags, stream_id, payload))
            case frames.CONTINUATION:
                self._on_block(self._reader.continuation(flags, stream_id, payload))
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
                self._check_opened(stream_id, or_connection=True)
                self._out.append(self._outbound.granted(stream_id, frames.read_number(payload)))

    def _on_padded_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        stream = self._streams.get(stream_id)
        piece = frames.unpadded(flags, payload)
        if stream is None or not stream.status:
            self._stray(stream_id, stream, size)
            return
        self._charge(size, stream)
        if piece:
            stream.add(piece)
        if more := stream.inbound.taken(size - len(piece)):
            self._out.append(frames.window_update(stream_id, more))
        self._return(size - len(piece))
        if flags & END_STREAM:
            self._ended(stream)

    def _on_block(self, block: Block | None) -> None:
        """A header list, if it is whole: an answer's beginning, its trailers, or something on the way to it."""
        if block is None:
            return
        self._keepalive.brought = True
        stream, status = self._streams.get(block.stream_id), block.fields.status
        if stream is None:
            self._check_opened(block.stream_id)
        elif stream.status and block.ends:
            self._ended(stream, block.fields.values)
        elif stream.status:
            self._spoiled(stream, "headers in the middle of its body")
        elif status >= 200:
            stream.begin(status, block.fields.values)
            if block.ends:
                self._ended(stream)
        elif status < 100 or block.ends:
            self._spoiled(stream, "headers without a status")

    def _on_reset(self, stream_id: int, code: int) -> None:
        self._check_opened(stream_id)
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
        for number, value in frames.read_settings(payload):
            match number:
                case Setting.HEADER_TABLE_SIZE:
                    self._writer.table_size(value)
                case Setting.MAX_CONCURRENT_STREAMS:
                    self.limit = value
                case Setting.INITIAL_WINDOW_SIZE:
                    self._out.append(self._outbound.initial(value))
        self._out.append(frames.pack(SETTINGS, ACK, 0))
        if not self.ready.done():
            self.ready.set_result(None)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != len(_PING):
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a PING that is none")
        if not flags & ACK:
            self._out.append(frames.pack(PING, ACK, 0, payload))

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

    # ---- what follows ----

    def _check_opened(self, stream_id: int, *, or_connection: bool = False) -> None:
        if not stream_id and or_connection:
            return
        if not stream_id & 1 or stream_id >= self._next_id:
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a frame of a stream that was never opened")

    def _charge(self, size: int, stream: Stream | None = None) -> None:
        """So much came in."""
        self._inbound.left -= size
        if stream is not None:
            stream.inbound.left -= size
        if self._inbound.left < 0 or (stream is not None and stream.inbound.left < 0):
            raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, "sent more than it was allowed")

    def _return(self, size: int) -> None:
        """So much left the connection's memory."""
        if more := self._inbound.taken(size):
            self._out.append(frames.window_update(0, more))

    def _ended(self, stream: Stream, trailers: Mapping[str, str] = NO_HEADERS) -> None:
        """An answer is complete. Where the request is not, nobody will read the rest of it."""
        stream.end(trailers)
        if self._outbound.drop(stream.id):
            self._out.append(frames.reset(stream.id, ErrorCode.NO_ERROR))
        self._forget(stream)

    def _spoiled(self, stream: Stream, what: str) -> None:
        """An answer that makes no sense. The connection is well."""
        self._out.append(frames.reset(stream.id, ErrorCode.PROTOCOL_ERROR))
        stream.fail(StreamReset(f"sent {what}", ErrorCode.PROTOCOL_ERROR))
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        del self._streams[stream.id]
        self._outbound.drop(stream.id)
        if self._due_to is stream and self._due:  # what is still to come of its frame is nobody's
            self._due_to = None
            self._return(self._due)
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self._draining and not self._streams:
            self.close()

    def _send_ping(self) -> None:
        self._out.append(frames.pack(PING, 0, 0, _PING))
        self._flush()

    def _dead(self, what: str) -> None:
        self._end(ConnectionLost(f"the server {what}"))
        self._transport.abort()

    def _break(self, broken: RuleBroken, data: bytes) -> None:
        """The other side cannot be understood any more."""
        failure: TransportError
        if self.ready.done():
            failure = ConnectionLost(f"the server broke the rules of HTTP/2: it {broken}")
        elif (self._rest + data).startswith(b"HTTP/1"):
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
        if not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        if self._over is not None or not data:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MOST_UNREAD:
            self._dead("does not read what it is sent")
