"""SIGKILL at any moment: everything that was confirmed is there, and frames and cursors agree."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.buffer_files import everything, opened, texts

CHILD = """
import asyncio, sys
from pathlib import Path

from tests.buffer_files import MIB, cursor, frame, lines, opened, partition

async def main(directory, start, kind):
    async with opened(directory, max_size=64 * MIB, sinks=["archive", "never"]) as buffer:
        print("open", flush=True)
        number = start
        while True:
            frames = [lines(str(number))]
            if kind == "large":
                # more than the log has room for: written in several transactions
                frames += [frame(2 * MIB, partition(f"large-{number % 7}"), seed=number) for _ in range(10)]
            await buffer.commit(frames, [cursor("position", str(number).encode(), (number % 5, b"x"))])
            print(number, flush=True)
            number += 1
            for one in await buffer.open_partitions("never"):
                if one.partition.app.startswith("large"):
                    for sink in ("archive", "never"):
                        batch = await buffer.seal(sink, one.partition, max_size=64 * MIB)
                        if batch is not None:
                            await buffer.acknowledge(batch)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
"""


def run_and_kill(directory: Path, start: int, kind: str, words: int, after: float) -> int:
    """Let a process commit from `start` on, kill it so long after so many words, and return what it last confirmed."""
    command = [sys.executable, "-c", CHILD, str(directory), str(start), kind]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        said = [process.stdout.readline() for _ in range(words)]
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().splitlines()
        process.wait()
    return max([start - 1, *(int(word) for word in said if word.strip().isdigit())])


@pytest.mark.parametrize("kind", ["small", "large"])
async def test_what_was_confirmed_survives_a_kill(tmp_path: Path, kind: str) -> None:
    """Killed six times at random moments, continued from the cursor each time: every number is there once, in order."""
    rng = random.Random(kind)
    number = 0
    for _ in range(6):
        words = rng.randrange(10 if kind == "small" else 3)
        confirmed = run_and_kill(tmp_path, number, kind, words, rng.uniform(0, 0.03))
        async with opened(tmp_path, max_size=64 * 1024 * 1024, sinks=["archive", "never"]) as buffer:
            assert buffer.recovered is None
            stored = [int(one.state) for one in await buffer.cursors()]
            last = stored[0] if stored else -1
            assert last in (confirmed, confirmed + 1)  # a commit may have landed whose word did not
            assert buffer.stats().backlog_records["never"] >= last + 1
            number = last + 1
    async with opened(tmp_path, max_size=64 * 1024 * 1024, sinks=["archive", "never"]) as buffer:
        for one in await buffer.open_partitions("archive"):
            if one.partition.app.startswith("large"):
                while (batch := await buffer.seal("archive", one.partition, max_size=1)) is not None:
                    assert await buffer.read(batch) is not None
                    await buffer.acknowledge(batch)
        for batch in await buffer.sealed("archive"):
            assert await buffer.read(batch) is not None
            await buffer.acknowledge(batch)
        assert texts(await everything(buffer)) == [str(value) for value in range(number)]
    assert number > 3
