"""Flow control (RFC 9113 section 5.2): what the other side may still send us, and what we may send it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from shipper.ignite.http2 import frames
from shipper.ignite.http2.frames import DATA, END_STREAM, MAX_FRAME, MAX_WINDOW, ErrorCode, RuleBroken

INITIAL: Final = 65_535  # of a connection, and of streams until SETTINGS say otherwise
STREAM_WINDOW: Final = 1024 * 1024
CONNECTION_WINDOW: Final = (
    4 * STREAM_WINDOW
)  # so many streams must be left unread until they hold up the others


class Inbound:
    """What may come in, on a stream or on a connection. Only what was taken is granted anew: the sender is held back
    where nobody reads.

    `left` is what the other side may still send, `_owed` what was taken and not yet granted; the rest of `size` waits
    to be read.
    """

    __slots__ = ("_owed", "_step", "left")

    def __init__(self, size: int) -> None:
        self.left = size
        self._step = size // 4
        self._owed = 0

    def taken(self, size: int) -> int:
        """So much was taken. How much to grant now: rarely, and in large steps, as long as the sender has room."""
        self._owed += size
        if not self._owed or (self._owed < self._step and self.left >= self._step):
            return 0
        more, self._owed = self._owed, 0
        self.left += more
        return more


@dataclass(slots=True)
class _Unsent:
    body: bytes
    window: int


@dataclass(slots=True)
class Outbound:
    """Request bodies on their way out. Nearly always they fit at once; what does not waits here for the window."""

    _window: int = INITIAL
    _initial: int = INITIAL
    _unsent: dict[int, _Unsent] = field(default_factory=dict)

    def send(self, stream_id: int, body: bytes) -> bytes:
        """The frames of a new stream's body that may be sent now."""
        self._unsent[stream_id] = _Unsent(body, self._initial)
        return self._pump(stream_id)

    def drop(self, stream_id: int) -> bool:
        """The stream is over; whether something of its body was still to be sent."""
        return self._unsent.pop(stream_id, None) is not None

    def initial(self, size: int) -> bytes:
        """The other side's window for each stream; frames that may be sent now."""
        if size > MAX_WINDOW:
            raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, "granted a larger window than there is")
        change, self._initial = size - self._initial, size
        for unsent in self._unsent.values():
            unsent.window += change
        return self._pump_all()

    def granted(self, stream_id: int, more: int) -> bytes:
        """A WINDOW_UPDATE; frames that may be sent now."""
        more &= MAX_WINDOW
        if more == 0:
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "granted nothing")
        if stream_id == 0:
            self._window = self._checked(self._window + more)
            return self._pump_all()
        unsent = self._unsent.get(stream_id)
        if unsent is None:
            return b""
        unsent.window = self._checked(unsent.window + more)
        return self._pump(stream_id)

    @staticmethod
    def _checked(window: int) -> int:
        if window > MAX_WINDOW:
            raise RuleBroken(ErrorCode.FLOW_CONTROL_ERROR, "granted a larger window than there is")
        return window

    def _pump_all(self) -> bytes:
        return b"".join([self._pump(stream_id) for stream_id in tuple(self._unsent)])

    def _pump(self, stream_id: int) -> bytes:
        unsent = self._unsent[stream_id]
        out = []
        while (room := min(unsent.window, self._window, MAX_FRAME, len(unsent.body))) > 0:
            piece, unsent.body = unsent.body[:room], unsent.body[room:]
            unsent.window -= room
            self._window -= room
            out.append(frames.pack(DATA, 0 if unsent.body else END_STREAM, stream_id, piece))
        if not unsent.body:
            del self._unsent[stream_id]
        return b"".join(out)
