"""The lines of a GetAppLogs answer, in the order in which a cursor can read them. Pure.

The platform promises no order. Sorted by time is right while the clock runs forward; where it was set back, times
say nothing, and the order of the answer is all there is.
"""

from __future__ import annotations

from shipper.collect.window import LATENESS_MS, Window
from shipper.ignite.port import LogChunk


def readable(chunk: LogChunk, window: Window) -> LogChunk:
    """The chunk oldest first; lines of one millisecond stay in their order."""
    times = chunk.times
    if not _clock_is_back(window):
        order = sorted(range(len(times)), key=times.__getitem__)
        if times and times[0] > times[-1]:  # newest first: so are the lines of one millisecond
            order = sorted(range(len(times)), key=lambda index: (times[index], -index))
    elif sum(map(int.__gt__, times, times[1:])) > len(times) // 2:
        order = list(reversed(range(len(times))))
    else:
        return chunk
    return LogChunk(
        [times[i] for i in order],
        [chunk.streams[i] for i in order],
        [chunk.lines[i] for i in order],
        chunk.others,
        chunk.undecodable,
    )


def _clock_is_back(window: Window) -> bool:
    """Whether what was taken last is older than what was taken before."""
    newest = window.newest
    return bool(window.segments) and newest is not None and window.segments[-1].newest < newest - LATENESS_MS
