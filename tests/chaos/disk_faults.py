"""A disk that answers with errors: to fsync, to writes, to everything because it is read-only."""

from __future__ import annotations

import asyncio
import errno
import random
from typing import TYPE_CHECKING, Final

from tests.chaos.faulty_disk import Act, Call, Step
from tests.chaos.kill_faults import WITHOUT

if TYPE_CHECKING:
    from tests.chaos.site import Site

_WRITES: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)


async def buffer_sync_error(site: Site, rng: random.Random) -> None:
    """What is not known to be durable must not be believed to be."""
    await _fail(site, rng, Step.BUFFER, Call.SYNC, errno.EIO)


async def archive_sync_error(site: Site, rng: random.Random) -> None:
    """The same of a file of the archive, or of its folder."""
    await _fail(site, rng, Step.UPLOAD, Call.SYNC, errno.EIO)


async def buffer_write_error(site: Site, rng: random.Random) -> None:
    """Writes fail, or write half of what they should."""
    await _fail(site, rng, Step.BUFFER, Call.WRITE | Call.CUT, rng.choice([0, *_WRITES]))


async def archive_write_error(site: Site, rng: random.Random) -> None:
    """And what makes, renames and removes files."""
    await _fail(site, rng, Step.UPLOAD, Call.ALL ^ Call.SYNC, rng.choice([0, *_WRITES]))


async def _fail(site: Site, rng: random.Random, steps: Step, calls: Call, error: int) -> None:
    """Twice: a few calls, or all of some seconds. Without an error writes are short."""
    if site.disk is None:
        site.note(WITHOUT)
        return
    for _ in range(2):
        acted = site.disk.acted
        act = Act.FAIL if error else Act.SHORT
        site.disk.arm(
            act,
            calls=calls,
            steps=steps,
            error=error,
            before=rng.randrange(6),
            times=rng.choice([1, 1, 3, -1]),
        )
        await asyncio.sleep(rng.uniform(0.8, 1.6))
        site.disk.disarm()
        if site.disk.acted == acted:
            site.note("no call came that could fail")
        await asyncio.sleep(rng.uniform(0.2, 0.6))


async def buffer_read_only(site: Site, rng: random.Random) -> None:
    """The file system stops being written to, as one does that met an error; after a while the daemon is killed, the
    file system is mounted anew, and the daemon starts.
    """
    disk = site.buffer_disk
    if disk is None:
        site.note("no file system could be mounted in a file; the buffer's was not made read-only")
        return
    await site.abort(disk, rng.uniform(1.0, 2.5))
