"""The process's memory, told to keep less and to be looked at less.

The C library's heap: one arena for all threads, and what is free given back.

glibc gives threads arenas of their own, and what is free in one is of no use to the others; pages that a burst needed
stay with the process, unless they happen to lie at the heap's end
(https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html, malloc_trim(3)). One lock for all
threads costs nothing that could be measured: they hold Python's own lock most of the time.

Only glibc has these calls. Where the C library is another one, nothing happens.

Python's garbage collector: modules and clients are there for good, and a full collection that walks them all stops
the event loop for 50 ms; without them for 10 to 25 (400,000 records to Datadog, with a dozen such collections).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable
from typing import Any, Final

EVERY_S: Final = (
    10.0  # takes less than a millisecond where there is nothing to give back, 15 after a burst of 100 MB
)
_YOUNG: Final = (
    5_000  # objects; at the usual 700, decoding records spends a third of its time on looking at them
)
_ARENA_MAX: Final = -8  # malloc.h: M_ARENA_MAX


def share_one_arena() -> None:
    """Call before threads are started: an arena that there is already stays."""
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def leave_alone_what_is_there() -> None:
    """Call when everything is built: the collector does not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


def look_again() -> None:
    """Call when some of what was there may be garbage."""
    gc.unfreeze()


async def give_back() -> None:
    """Again and again, until cancelled."""
    malloc_trim = _glibc("malloc_trim")
    while malloc_trim is not None:
        await asyncio.sleep(EVERY_S)
        malloc_trim(0)


def _glibc(name: str) -> Callable[..., Any] | None:
    try:
        library = ctypes.CDLL(None)  # what this process is linked with
        function: Callable[..., Any] = getattr(library, name)
    except (OSError, TypeError, AttributeError):
        return None
    return function
