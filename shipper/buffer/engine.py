"""The buffer's own thread: the open file, the jobs that run on it, and its recovery from damage.

Everything here is blocking and is called by one thread.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from shipper.buffer.damaged import opened
from shipper.buffer.database import Damaged, Database, cannot
from shipper.buffer.files import Files, with_log
from shipper.buffer.garbage import is_worth_a_sweep, sweep_garbage
from shipper.buffer.index import Index
from shipper.buffer.ledger import Ledger
from shipper.buffer.loading import Setup, load
from shipper.buffer.lock import Lock
from shipper.buffer.notes import Notes
from shipper.buffer.private import keep_private, make_folder
from shipper.buffer.quota import DISK_MARGIN, PAGE_SIZE, Quota
from shipper.buffer.reconfiguring import reconfigure, remove
from shipper.buffer.salvage import Saved, nothing_saved, salvage
from shipper.buffer.values import BufferStats, Recovery
from shipper.errors import BufferError, BufferFull, BufferUnavailable

T = TypeVar("T")

log = logging.getLogger("shipper.buffer")


class Engine:
    """Holds the lock and the ledger. Between two jobs the file may be closed (after a failed recovery):
    then the next job tries to open it again.
    """

    def __init__(self, directory: Path, quota: Quota, setup: Setup) -> None:
        self._files = Files(directory)
        self._quota = quota
        self._setup = setup
        self._lock: Lock | None = None
        self._ledger: Ledger | None = None
        self._index: Index | None = None
        self._used = 0
        self._notes = Notes()
        self.recovered: Recovery | None = None

    # ---- lifetime ----

    def open(self) -> str:
        """Take the lock and open the file, or make it; returns the buffer's id."""
        try:
            make_folder(self._files.directory)
            keep_private(self._files.all)
            self._lock = Lock.acquire(self._files.directory)
        except OSError as error:
            raise cannot(self._files.directory, error) from error
        try:
            return self._opened().buffer_id
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and release the lock. Idempotent."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.database.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    # ---- jobs ----

    def run(self, operation: Callable[[Ledger], T]) -> T:
        """One job. Raises BufferFull or BufferUnavailable, and then nothing has changed.

        Damage that is found on the way is repaired at once; the job itself was rolled back and has to be
        repeated.
        """
        if self._lock is None:
            raise BufferUnavailable("the buffer is closed")
        ledger = self._opened()
        try:
            result = operation(ledger)
        except Damaged as error:
            self._recover(error)
            raise BufferUnavailable(
                f"the buffer file was damaged ({error}); what could be read is in a new file: the same is tried again"
            ) from error
        except BufferFull:
            ledger.notes.full = ledger.room_wanted = True
            raise
        finally:
            self._measure()
        if ledger.database.damage is not None:
            with suppress(BufferError):  # the job is done; whoever comes next tries again
                self._recover(ledger.database.damage)
        return result

    def reconfigure(self, change: Callable[[Setup], Setup], quota: Quota) -> None:
        """One job: see Buffer.reconfigure."""

        def apply(ledger: Ledger) -> None:
            setup = change(self._setup)
            reconfigure(ledger, setup)
            self._setup = setup  # here: whatever opens the file anew from now on has to know
            if quota != self._quota:
                self._quota = quota
                ledger.database.resize(quota)

        self.run(apply)

    def remove(self, name: str) -> None:
        """One job: see Buffer.remove_sink."""

        def apply(ledger: Ledger) -> None:
            self._setup = remove(ledger, self._setup, name)

        self.run(apply)

    def take_notes(self) -> Notes:
        """What has happened since the last call."""
        notes, self._notes = self._notes, Notes()
        if self._ledger is not None:
            self._absorb(notes, self._ledger)
        return notes

    @property
    def untidy(self) -> bool:
        """Whether `tidy` has something to do."""
        ledger = self._ledger
        if ledger is None:
            return False
        try:
            return is_worth_a_sweep(ledger) or self._vacuum_step(ledger) > 0
        except (Damaged, BufferError):  # whoever has a real job will meet it too
            return False

    def tidy(self, ledger: Ledger) -> None:
        """One bounded step of deleting what nobody needs, or of giving disk back."""
        if is_worth_a_sweep(ledger):
            sweep_garbage(ledger)
            return
        step = self._vacuum_step(ledger)
        if step:
            ledger.database.vacuum(step)

    def _vacuum_step(self, ledger: Ledger) -> int:
        short = ledger.database.disk_free() < self._quota.wal_size + DISK_MARGIN
        return self._quota.vacuum_step(ledger.database.pages(), disk_is_short=short)

    # ---- sizes, for any thread ----

    def index(self) -> Index:
        """The mirror of what is committed."""
        if self._index is None:
            raise BufferUnavailable("the buffer is closed")
        return self._index

    def stats(self) -> BufferStats:
        """From memory, but for the sizes of two files."""
        return self.index().stats(self._used, self._quota.max_size, disk_size(self._files.main))

    def _measure(self) -> None:
        with suppress(Damaged, BufferError):
            if self._ledger is not None:
                self._used = self._ledger.database.pages().used * PAGE_SIZE

    # ---- opening and recovering ----

    def _opened(self) -> Ledger:
        if self._ledger is None:
            try:
                self._ledger = self._open_files()
            except OSError as error:
                raise cannot(self._files.directory, error) from error
            self._index = self._ledger.index
            self._measure()
        return self._ledger

    def _recover(self, damage: Damaged) -> None:
        """Replace the open file by what can be saved of it."""
        if self._ledger is not None:
            self._absorb(self._notes, self._ledger)
            self._ledger.database.close()
            self._ledger = None
        try:
            self._ledger = self._replace(damage)
        except OSError as error:
            raise cannot(self._files.directory, error) from error
        self._index = self._ledger.index
        self._notes.freed = True
        self._notes.arrivals.update(slot.name for slot in self._ledger.slots)
        self._measure()

    def _open_files(self) -> Ledger:
        aside = self._files.finish(self._setup.clock())
        if aside is not None:
            log.error("the recovery of a damaged buffer file was cut short and is complete now: %s", aside)
        if not self._files.main.exists():
            self._build()
            self._files.first()
        try:
            return self._load()
        except Damaged as damage:
            return self._replace(damage)

    def _load(self) -> Ledger:
        database = Database.open(self._files.main, self._quota)
        try:
            return load(database, self._setup)
        except BaseException:
            database.close()
            raise

    def _build(self) -> None:
        """A new, empty and closed file under the name of one that is being built."""
        self._files.clear_building()
        meta = {"buffer_id": secrets.token_hex(4), "created": str(int(self._setup.clock()))}
        Database.create(self._files.building, self._quota, meta).close()

    def _replace(self, damage: Damaged) -> Ledger:
        """Salvage; if even what was salvaged cannot be loaded, go on empty rather than fail at every start."""
        log.error("the buffer file is damaged, what can be read is saved into a new one: %s", damage)
        try:
            self._salvage(damage, whole=False)
            return self._load()
        except Damaged as again:
            log.error("what was saved cannot be used either, the buffer goes on empty: %s", again)  # noqa: TRY400
            self._salvage(damage, whole=True)
            return self._load()

    def _salvage(self, damage: Damaged, *, whole: bool) -> None:
        """Build the successor and put it in the file's place. `whole`: all is lost."""
        now = self._setup.clock()
        self._build()
        first_page = self._files.building.read_bytes()[:PAGE_SIZE]
        with closing(Database.open(self._files.building, self._quota)) as target:
            if whole:
                saved = nothing_saved(target, int(now * 1000))
            else:
                with opened(self._files.main, self._quota, first_page) as source:
                    setup = self._setup
                    saved = salvage(source, target, setup.sinks, setup.route, int(now * 1000))
            target.checkpoint()
        aside = self._files.succeed(now)
        self.recovered = _recovery(aside, damage, saved)

    @staticmethod
    def _absorb(notes: Notes, ledger: Ledger) -> None:
        found, ledger.notes = ledger.notes, Notes()
        notes.counts += found.counts
        notes.gaps += found.gaps
        notes.arrivals |= found.arrivals
        # What happened last decides whether waiting for room makes sense.
        notes.full, notes.freed = found.full or notes.full, found.freed or notes.freed


def _recovery(aside: Path, damage: Damaged, saved: Saved) -> Recovery:
    recovery = Recovery(
        path=aside,
        problem=str(damage),
        cursors=saved.cursors,
        frames=saved.frames,
        records=saved.records,
        lost_records=saved.lost_records,
        complete=saved.complete,
    )
    log.error(
        "a damaged buffer file was moved to %s; saved: %s records, %s cursors; known to be lost: %s records%s",
        aside,
        saved.records,
        saved.cursors,
        saved.lost_records,
        "" if saved.complete else ", and more that cannot be counted",
    )
    return recovery


def disk_size(path: Path) -> int:
    """Bytes that a database and its log take on disk."""
    size = 0
    for one in with_log(path):
        with suppress(OSError):
            size += one.stat().st_size
    return size
