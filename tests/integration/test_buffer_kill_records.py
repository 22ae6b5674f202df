"""SIGKILL while records are delivered: acknowledged and held back are one step, and so is sending a letter again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, LetterFilter
from tests.buffer_files import MIB, opened, partition

CHILD = """
import asyncio, sys
from pathlib import Path

from shipper.buffer import LetterFilter
from shipper.model import Carried, DeadLetter
from tests.buffer_files import MIB, cursor, lines, opened, partition

async def main(directory, start):
    async with opened(directory, max_size=64 * MIB, sinks=["search", "dead"]) as buffer:
        print("open", flush=True)
        settled = sum(one.records for one in await buffer.carried("search"))
        number = start
        while True:
            await buffer.commit([lines(str(number))], [cursor("position", str(number).encode())])
            batch = await buffer.seal("search", partition(), max_size=1)
            await buffer.progressed(batch, number, "plan")
            print("done", batch.batch_id, number, flush=True)
            if number % 3:
                settled += batch.records
                state = str(settled).encode() * (1 + number % 2000)
                await buffer.acknowledge(batch, Carried(partition(), state, settled, 1))
                print("settled", settled, flush=True)
            record = b'{"line":"%d"}' % number
            await buffer.bury([DeadLetter("dead", partition("letters"), number, number, "no", record)])
            print("buried", number, flush=True)
            if number % 4 == 0:
                await buffer.letters.replay(LetterFilter())
            number += 1

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def run_and_kill(directory: Path, start: int, words: int, after: float) -> dict[str, list[str]]:
    """Let a process work, kill it so long after so many words; what it said last of each word."""
    command = [sys.executable, "-c", CHILD, str(directory), str(start)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        said = [process.stdout.readline() for _ in range(words)]
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
        process.wait()
    return {word: values for word, *values in (line.split() for line in said if line.endswith("\n"))}


async def letters_and_frames(buffer: Buffer) -> Counter[str]:
    """Where each buried record is: in a letter, or in a frame for its sink."""
    found: Counter[str] = Counter()
    letters = await buffer.letters.page(LetterFilter(), limit=10_000)
    found.update(record["line"] for one in letters for record in decode(one.record))
    for batch in await buffer.sealed("dead"):
        await buffer.acknowledge(batch)
    batch = await buffer.seal("dead", partition("letters"), max_size=64 * MIB)
    if batch is not None:
        frames = await buffer.read(batch)
        assert frames is not None
        found.update(record["line"] for record in decode(decompress(batch.codec, b"".join(frames))))
    return found


async def test_what_is_settled_and_what_is_held_back_agree_after_a_kill(tmp_path: Path) -> None:
    """Killed six times at random moments. What the state counts and what is not acknowledged make up what was
    committed; confirmed progress is there; each buried record is in one place.
    """
    rng = random.Random(3)
    start = 0
    for _ in range(6):
        said = run_and_kill(tmp_path, start, rng.randrange(12), rng.uniform(0, 0.03))
        async with opened(tmp_path, max_size=64 * MIB, sinks=["search", "dead"]) as buffer:
            assert buffer.recovered is None
            committed = int((await buffer.cursors())[0].state) + 1
            held = await buffer.carried("search")
            settled = held[0].records if held else 0
            assert settled >= int(said.get("settled", ["0"])[0])
            assert not held or held[0].state.startswith(str(settled).encode())
            stats = buffer.stats()
            sealed = await buffer.sealed("search")
            waiting = sum(one.records for one in sealed)
            waiting += sum(one.records for one in await buffer.open_partitions("search"))
            assert settled + waiting == committed
            assert stats.backlog_records["search"] == committed
            if "done" in said:
                number, done = map(int, said["done"])
                assert [one.done for one in sealed if one.batch_id == number] in ([done], [])
            buried = int(said.get("buried", [str(start - 1)])[0])
            found = await letters_and_frames(buffer)
            assert all(count == 1 for count in found.values())
            assert set(map(str, range(start, buried + 1))) <= set(found)
            start = committed
    assert start > 10
