"""What a connection receives, cut into frames. DATA goes to its stream piece by piece as it arrives; every other frame
goes on when it is whole.

A log stream is nearly all DATA, so this is where the time of reading goes. What one read of the socket brought for a
stream is handed over at once, since its reader runs only after the read.
"""

from __future__ import annotations

from typing import Final, Protocol

from shipper.ignite.http2.fields import BlockReader
from shipper.ignite.http2.frames import (
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADER,
    HEADER_SIZE,
    MAX_FRAME,
    MAX_STREAM_ID,
    PADDED,
    ErrorCode,
    RuleBroken,
    unpadded,
)
from shipper.ignite.http2.stream import Stream
from shipper.ignite.http2.window import CONNECTION_WINDOW, Inbound

_TOO_MUCH: Final = "sent more than it was allowed"


class Receiver(Protocol):
    """Who acts on what comes in. Each may raise RuleBroken."""

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """A whole frame that is not DATA."""

    def check_opened(self, stream_id: int) -> None:
        """A frame of a stream that is not open any more, if it ever was."""

    def grant(self, stream_id: int, size: int) -> None:
        """So many bytes of a stream (0: of no stream) are no longer in memory."""

    def ended(self, stream: Stream) -> None:
        """A stream's body is complete."""

    def spoiled(self, stream: Stream, what: str) -> None:
        """A stream's answer makes no sense."""


class Inflow:
    """The receiving half of a connection. Frames and pieces of frames may come in reads of any size.

    `streams` are those that are open, `window` the connection's; `blocks` says whether a header block is under way,
    which nothing may come between.
    """

    __slots__ = ("_due", "_due_ends", "_due_to", "_receiver", "_rest", "blocks", "streams", "window")

    def __init__(self, receiver: Receiver) -> None:
        self.streams: dict[int, Stream] = {}
        self.window = Inbound(CONNECTION_WINDOW)
        self.blocks = BlockReader()
        self._receiver = receiver
        self._rest = b""  # of a frame that is not whole: of its header, or of all of it where it is not DATA
        self._due = 0  # bytes of a DATA frame that are still to come,
        self._due_to: Stream | None = None  # for whom,
        self._due_ends = False  # and whether they are the last

    @property
    def rest(self) -> bytes:
        """What came of a frame that is not whole."""
        return self._rest

    def feed(self, data: bytes) -> bool:
        """Take what was read; whether DATA was among it. Raises RuleBroken: nothing after it can be understood."""
        at = 0
        if self._due:
            at = self._continue(data)
        elif self._rest:
            data = self._rest + data
        end, brought, unpack = len(data), at > 0, HEADER.unpack_from
        streams, blocks, window = self.streams, self.blocks, self.window
        while end - at >= HEADER_SIZE:
            high, low, kind, flags, stream_id = unpack(data, at)
            start = at + HEADER_SIZE
            size = high << 16 | low
            stop = start + size
            stream_id &= MAX_STREAM_ID
            if size > MAX_FRAME:
                raise RuleBroken(ErrorCode.FRAME_SIZE_ERROR, "sent a frame that is too large")
            if blocks.open and kind != CONTINUATION:
                raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a frame in the middle of a header block")
            if kind != DATA or flags & PADDED:
                if stop > end:
                    break
                at = stop
                if kind == DATA:
                    brought = True
                    self._padded(flags, stream_id, data[start:stop])
                else:
                    self._receiver.frame(kind, flags, stream_id, data[start:stop])
                continue
            brought = True
            stream = streams.get(stream_id)
            if stream is None or not stream.status:
                self._stray(stream_id, stream, size)
                stream = None
            elif size:
                inbound = stream.inbound
                window.left -= size
                inbound.left -= size
                if window.left < 0 or inbound.left < 0:
                    raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, _TOO_MUCH)
                stream.add(data[start:stop])
            if stop > end:
                self._due, self._due_to, self._due_ends = stop - end, stream, bool(flags & END_STREAM)
                at = end
                break
            if flags & END_STREAM and stream is not None:
                self._receiver.ended(stream)
            at = stop
        self._rest = data[at:]
        return brought

    def forget(self, stream: Stream) -> None:
        """The stream is over. What is still to come of its frame is nobody's."""
        del self.streams[stream.id]
        if self._due and self._due_to is stream:
            self._due_to = None
            self._receiver.grant(0, self._due)

    def _continue(self, data: bytes) -> int:
        """Go on with a DATA frame that came in part before; where the next frame begins."""
        piece = data[: self._due]
        self._due -= len(piece)
        stream = self._due_to
        if stream is not None:
            stream.add(piece)
            if self._due_ends and not self._due:
                self._receiver.ended(stream)
        return len(piece)

    def _padded(self, flags: int, stream_id: int, payload: bytes) -> None:
        size, piece = len(payload), unpadded(flags, payload)
        stream = self.streams.get(stream_id)
        if stream is None or not stream.status:
            self._stray(stream_id, stream, size)
            return
        self.window.left -= size
        stream.inbound.left -= size
        if self.window.left < 0 or stream.inbound.left < 0:
            raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, _TOO_MUCH)
        if piece:
            stream.add(piece)
        self._receiver.grant(stream_id, size - len(piece))
        if flags & END_STREAM:
            self._receiver.ended(stream)

    def _stray(self, stream_id: int, stream: Stream | None, size: int) -> None:
        """DATA that nobody reads: the stream was given up, or its answer has not begun."""
        self._receiver.check_opened(stream_id)
        self.window.left -= size
        if self.window.left < 0:
            raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, _TOO_MUCH)
        self._receiver.grant(0, size)
        if stream is not None:
            self._receiver.spoiled(stream, "a body before its headers")
