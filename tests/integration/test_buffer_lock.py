"""One process at a time: the second is told who has the buffer, and a dead one holds nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.errors import BufferLocked
from tests.buffer_files import frame, opened

HOLDER = """
import sys, time
from pathlib import Path
from shipper.buffer.lock import Lock
lock = Lock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


async def test_a_second_buffer_names_the_process_that_has_it(tmp_path: Path) -> None:
    """The message says which process, on which host, and what to do."""
    async with opened(tmp_path) as buffer:
        with pytest.raises(BufferLocked) as caught:
            async with opened(tmp_path):
                pass
        message = str(caught.value)
        assert f"process {os.getpid()} on host {socket.gethostname()}" in message
        assert "stop that process" in message
        assert str(tmp_path) in message
        await buffer.commit([frame()], [])  # the first one is not disturbed


async def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    """The lock of a process that was killed needs no cleaning up."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BufferLocked, match=f"process {holder.pid} "):
            async with opened(tmp_path):
                pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame()], [])


async def test_a_lock_without_a_name_is_still_a_lock(tmp_path: Path) -> None:
    """A holder that could not write its name is called unknown."""
    async with opened(tmp_path):
        os.truncate(tmp_path / "shipper.lock", 0)
        with pytest.raises(BufferLocked, match="an unknown process"):
            async with opened(tmp_path):
                pass


async def test_a_closed_buffer_can_be_opened_again(tmp_path: Path) -> None:
    """Closing releases the lock at once, opening in vain does too."""
    for _ in range(3):
        async with opened(tmp_path):
            pass
