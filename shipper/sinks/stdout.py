"""The sink that prints records as NDJSON to a file descriptor, for looking and for piping."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import select
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

from shipper.archive.codec import decompress
from shipper.errors import ArchiveDamaged
from shipper.model import Batch
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry

_STOP_CHECK_MS: Final = 100
# A pipe that poll(2) reports as writable takes PIPE_BUF bytes without blocking
# (https://man7.org/linux/man-pages/man7/pipe.7.html); a regular file never blocks for long.
_PIPE_PIECE: Final = select.PIPE_BUF
_FILE_PIECE: Final = 1024 * 1024
# What JSON lets through and a terminal obeys, or shows in another order than it is: DEL, the C1 controls (U+009B begins
# an escape sequence: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html), separators of lines, marks of direction.
_OBEYED: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf"
)


class StdoutSink:
    """Prints each batch's records, one JSON object a line, safe for a terminal. Implements `sinks.port.Sink`; at least
    once.

    A reader that does not read holds this sink and nothing else: the writing happens in a thread, which waits
    for room in the pipe in short steps, so that a cancelled `send` ends it. Batches come out one after the
    other, never mixed.
    """

    name: str
    concurrency = 1

    def __init__(self, name: str, descriptor: int = 1) -> None:
        self.name = name
        self._descriptor: Final = descriptor
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{name}")
        self._mid_line = False
        self._closed: Final = Event()

    async def open(self) -> None:
        """Nothing to prepare."""

    async def send(self, batch: Batch, frames: Sequence[bytes]) -> Outcome:
        """Print the batch; see the port."""
        cancelled = Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._print, batch, frames, cancelled)
        finally:
            cancelled.set()

    async def check(self) -> Outcome:
        """Whether the descriptor is open; nothing is printed."""
        try:
            os.fstat(self._descriptor)
        except OSError as error:
            return _refusal(error)
        return Delivered("standard output is open")

    async def aclose(self) -> None:
        """End a write that waits for its reader."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _print(self, batch: Batch, frames: Sequence[bytes], cancelled: Event) -> Outcome:
        try:
            # An earlier write may have been called off within a line.
            whole = not self._mid_line or self._write(b"\n", cancelled)
            for frame in frames:
                whole = whole and self._write(harmless(decompress(batch.codec, frame)), cancelled)
        except ArchiveDamaged as error:
            return Rejected(f"batch {batch.name} cannot be printed: {error}")
        except OSError as error:
            return _refusal(error)
        return Delivered() if whole else Retry("printing was called off")

    def _write(self, records: bytes, cancelled: Event) -> bool:
        """Print them; False if it was called off, then at the end of a line where that was possible."""
        regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        piece = _FILE_PIECE if regular else _PIPE_PIECE
        view = memoryview(records)
        while view:
            if self._called_off(cancelled) and not self._mid_line:
                return False
            if not regular and not self._wait_for_room(cancelled):
                return False
            done = os.write(self._descriptor, view[:piece])
            self._mid_line = view[done - 1] != ord("\n")
            view = view[done:]
        return True

    def _wait_for_room(self, cancelled: Event) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while not poll.poll(_STOP_CHECK_MS):
            if self._called_off(cancelled):
                return False
        return True

    def _called_off(self, cancelled: Event) -> bool:
        return cancelled.is_set() or self._closed.is_set()


def harmless(records: bytes) -> bytes:
    """The same JSON, with nothing in it that a terminal obeys."""
    if records.isascii() and b"\x7f" not in records:  # the rule, and a tenth of the time
        return records
    return _OBEYED.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), records)


def _refusal(error: OSError) -> Outcome:
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return Parked(
            "whoever read standard output has gone: restart the daemon with a reader, or remove the stdout sink"
        )
    if error.errno == errno.EBADF:
        return Parked("standard output is closed: start the daemon with one, or remove the stdout sink")
    return Retry(f"standard output refuses: {error.strerror or error}")
