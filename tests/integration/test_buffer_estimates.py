"""Every transaction stays within what was estimated for it: the bound on disk rests on that."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shipper.buffer import Buffer, LetterFilter, WhenFull
from shipper.buffer.database import Database
from shipper.buffer.quota import Need, log_bytes
from shipper.errors import BufferFull
from shipper.model import Carried, DeadLetter
from tests.buffer_files import MIB, frame, opened, partition


class Audit:
    """Transactions that took more than they said: what was estimated, and what they took."""

    def __init__(self) -> None:
        self.seen = 0
        self.over: list[tuple[Need, int, int]] = []
        self._original = Database.transaction

    @contextmanager
    def transaction(self, database: Database, need: Need) -> Iterator[None]:
        with self._original(database, need):
            log, used = database.log_size, database.pages().used
            yield
        self.seen += 1
        # After the commit the log may have been emptied; then it tells nothing.
        grown = max(0, database.log_size - log)
        more = database.pages().used - used
        if grown > log_bytes(need.dirty) or more > need.new:
            self.over.append((need, grown, more))


async def step(buffer: Buffer, rng: random.Random) -> None:
    """Something that delivery or a person does, of any size."""
    sink, where = rng.choice(["archive", "search"]), partition(f"app-{rng.randrange(30)}")
    size = rng.choice([rng.randrange(300), rng.randrange(9000), rng.randrange(200_000)])
    match rng.randrange(8):
        case 0 | 1:
            with suppress(BufferFull):
                await buffer.commit(
                    [frame(size, where, seed=rng.random()) for _ in range(rng.randrange(1, 20))], []
                )
        case 2:
            letters = [
                DeadLetter(sink, where, 1, 1, "no", rng.randbytes(size)) for _ in range(rng.randrange(1, 30))
            ]
            await buffer.bury(letters)
        case 3:
            await buffer.carry(sink, Carried(where, rng.randbytes(size), rng.randrange(3), rng.randrange(99)))
        case 4 | 5:
            batch = await buffer.seal(sink, where, max_size=rng.choice([1, MIB]))
            if batch is not None:
                await buffer.progressed(batch, 3, "plan")
                state = rng.randbytes(rng.choice([0, size, size, 900_000]))
                await buffer.acknowledge(batch, Carried(where, state, 1, 5))
        case 6:
            ids = frozenset(rng.sample(range(3000), 300))
            await buffer.letters.drop(LetterFilter(ids=ids))
        case 7:
            with suppress(BufferFull):
                ids = frozenset(rng.sample(range(3000), 30))
                await buffer.letters.replay(LetterFilter(ids=ids))


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_no_transaction_takes_more_than_was_estimated(
    tmp_path: Path, when_full: WhenFull, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit()
    monkeypatch.setattr(Database, "transaction", lambda database, need: audit.transaction(database, need))
    rng = random.Random(when_full)
    async with opened(tmp_path, sinks=["archive", "search"], when_full=when_full) as buffer:
        for _ in range(500):
            await step(buffer, rng)
            assert buffer.stats().disk_bytes <= 16 * MIB
    assert audit.seen > 500
    assert audit.over == []
