"""The C library's heap, told to keep less: one arena for all threads, and what is free given back.

glibc gives threads arenas of their own, and what is free in one is of no use to the others; pages that a burst needed
stay with the process, unless they happen to lie at the heap's end
(https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html, malloc_trim(3)). One lock for all
threads costs nothing that could be measured: they hold Python's own lock most of the time.

Only glibc has these calls. Where the C library is another one, nothing happens.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Any, Final

EVERY_S: Final = (
    10.0  # takes less than a millisecond where there is nothing to give back, 15 after a burst of 100 MB
)
_ARENA_MAX: Final = -8  # malloc.h: M_ARENA_MAX


def share_one_arena() -> None:
    """Call before threads are started: an arena that there is already stays."""
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


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
