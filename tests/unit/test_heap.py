"""Memory that is free goes back to the system, and the daemon's threads share one heap (glibc alone)."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.heap import EVERY_S, give_back, leave_alone_what_is_there
from tests.virtual_time import virtual_time

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these calls")

# Eight threads that hold memory at the same time; then the C library says which arenas there are.
_ARENAS = """
import ctypes, sys, threading
from shipper.heap import share_one_arena
if sys.argv[1] == "shared":
    share_one_arena()
meet = threading.Barrier(9)
def work():
    kept = bytes(4096)
    meet.wait()
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
meet.wait()
ctypes.CDLL(None).malloc_stats()
meet.wait()
"""


def arenas(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _ARENAS, how], capture_output=True, text=True, check=True)
    return done.stderr.count("Arena ")


@glibc
def test_all_threads_share_one_arena() -> None:
    assert arenas("shared") == 1
    assert arenas("as usual") > 1


@glibc
@virtual_time
async def test_what_a_burst_left_free_is_given_back_within_seconds() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    size = 64 * 1024  # below what is mapped by itself
    blocks = [libc.malloc(size) for _ in range(1_000)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    full = resident()
    for block in blocks[:-1]:  # the last one keeps the heap from shrinking
        libc.free(block)
    giving = asyncio.create_task(give_back(), name="heap")
    await asyncio.sleep(EVERY_S + 1)
    giving.cancel()
    await asyncio.wait({giving})
    assert full - resident() > 50_000_000
    libc.free(blocks[-1])


async def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A library without glibc's calls."""

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Other())
    await give_back()


def resident() -> int:
    """Memory of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_what_is_there_is_not_collected_over_and_over() -> None:
    before, usual = gc.get_freeze_count(), gc.get_threshold()
    kept = [[number] for number in range(1000)]
    try:
        leave_alone_what_is_there()
        assert gc.get_freeze_count() >= before + len(kept)
        assert gc.get_threshold()[0] > usual[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
