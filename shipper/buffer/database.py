"""The SQLite file: its settings, its transactions within the quota, and what its errors mean.

This is the only module that imports sqlite3. An instance belongs to one thread.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from shipper.buffer.quota import DISK_MARGIN, PAGE_SIZE, Need, Pages, Quota, log_bytes, need_of_vacuum
from shipper.buffer.schema import TABLES, UPGRADES, VERSION
from shipper.errors import BufferFull, BufferUnavailable

Row = tuple[Any, ...]

log = logging.getLogger("shipper.buffer")

_FORBIDDEN: Final = (errno.EPERM, errno.EACCES, errno.EROFS)
_UPGRADE_NEED: Final = Need(8, 64)
_CHECK_UP_TO: Final = 1024**3  # bytes; a larger file would hold up the start for longer than damage is likely


class Damaged(Exception):
    """The file is not what SQLite wrote."""


class Database:
    """One connection. Raises Damaged, BufferFull or BufferUnavailable, and then has rolled back."""

    def __init__(self, path: Path, connection: sqlite3.Connection, quota: Quota) -> None:
        self.path = path
        self.quota = quota
        self.damage: Damaged | None = None  # seen where it could not be raised
        self._connection = connection
        self._log = path.with_name(path.name + "-wal")

    # ---- opening and closing ----

    @classmethod
    def create(cls, path: Path, quota: Quota, meta: dict[str, str]) -> Database:
        """A new file with empty tables, readable by its owner only."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        database = cls._connect(path, quota)
        try:
            with database._mapped():
                for pragma in (f"page_size = {PAGE_SIZE}", "auto_vacuum = INCREMENTAL"):
                    database._connection.execute(f"PRAGMA {pragma}")
            database._configure()
            with database.transaction(Need(64, 64)):
                for table in TABLES:
                    database.run(table)
                meta = {"version": str(VERSION), **meta}
                database.run_many("INSERT INTO meta (key, value) VALUES (?, ?)", meta.items())
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open(cls, path: Path, quota: Quota) -> Database:
        """An existing file. It is checked if its last user did not close it (then its log is still there)."""
        if not os.access(path, os.R_OK | os.W_OK):  # SQLite would open it read-only
            raise cannot(path.parent, PermissionError(errno.EACCES, "Permission denied", path.name))
        unclean = path.with_name(path.name + "-wal").exists()
        database = cls._connect(path, quota)
        try:
            database._configure()
            version = database._version()
            if unclean and path.stat().st_size <= _CHECK_UP_TO:
                database._check_pages()
            database._upgrade(version)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open_damaged(cls, path: Path, quota: Quota) -> Database:
        """A file of which as much as possible shall be read. Nothing is written to it but its own log's content."""
        database = cls._connect(path, quota)
        with database._mapped():
            for pragma in (
                "locking_mode = EXCLUSIVE",
                "writable_schema = ON",
            ):  # the latter bears a file cut short
                database._connection.execute(f"PRAGMA {pragma}").fetchall()
        return database

    @classmethod
    def _connect(cls, path: Path, quota: Quota) -> Database:
        try:
            return cls(path, sqlite3.connect(path, isolation_level=None), quota)
        except sqlite3.Error as error:
            raise cannot(path.parent, error) from error

    def _configure(self) -> None:
        pragmas = (
            "locking_mode = EXCLUSIVE",  # first: then the log's index is in memory and not in a third file
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = OFF",  # some distributions build it ON: every freed page would be logged
            "cache_spill = OFF",  # a page goes to the log once, at the commit
            "wal_autocheckpoint = 0",  # see transaction()
            f"max_page_count = {self.quota.max_pages}",
        )
        with self._mapped():
            for pragma in pragmas:
                self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def resize(self, quota: Quota) -> None:
        """Use another quota from now on. A file that is larger than it allows takes nothing new until it is smaller."""
        self.quota = quota
        with self._mapped():
            self._connection.execute(f"PRAGMA max_page_count = {quota.max_pages}").fetchall()

    def _check_pages(self) -> None:
        ((verdict,),) = self.rows("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise Damaged(str(verdict))

    def _version(self) -> int:
        """Asked before anything else: what a newer version wrote is not for this one to judge, damaged or not."""
        text = self.meta("version")
        found = int(text) if text.isdecimal() else 0
        if found > VERSION:
            raise BufferUnavailable(
                f"{self.path} was written by a newer version of shipper (its format is {found}, this version reads "
                f"up to {VERSION}): run that version, or move the file away; it is left as it is"
            )
        if found < min(UPGRADES):
            raise Damaged("the version of the format is missing")
        return found

    def _upgrade(self, version: int) -> None:
        """Make a file of an older version one of this version, a transaction for each step."""
        for older in range(version, VERSION):
            with self.transaction(_UPGRADE_NEED):
                for statement in UPGRADES[older]:
                    self.run(statement)
                self.run("UPDATE meta SET value = ? WHERE key = 'version'", (str(older + 1),))
            log.info(
                "the buffer file is upgraded to format %s; older versions of shipper refuse it", older + 1
            )

    def meta(self, key: str) -> str:
        """A value that was written down when the file was made, "" if it is not there."""
        rows = self.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def close(self) -> None:
        """Empties the log into the file and removes it, if the disk lets it. Never raises."""
        with suppress(sqlite3.Error):
            self._connection.close()

    # ---- statements ----

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        with self._mapped():
            return self._connection.execute(sql, parameters).fetchall()

    def each(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """The rows of a query one by one; nothing may be written meanwhile."""
        with self._mapped():
            yield from self._connection.execute(sql, parameters)

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """One statement, within a transaction."""
        with self._mapped():
            self._connection.execute(sql, parameters).fetchall()

    def run_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for each row, within a transaction."""
        with self._mapped():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self, need: Need) -> Iterator[None]:
        """All of it or nothing, durable when the block has ended."""
        self._make_room_in_log(need)
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            with self._mapped(at_disk=True):
                self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise
        if self.log_size > self.quota.checkpoint_at:
            self._checkpoint_late()

    def vacuum(self, pages: int) -> None:
        """Give free pages back to the disk, in a transaction of its own."""
        self._make_room_in_log(need_of_vacuum(pages))
        with self._mapped(at_disk=True):
            # execute() would take one step of this statement, which is one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        self.checkpoint()  # only this cuts the file

    def _make_room_in_log(self, need: Need) -> None:
        room = self.log_size + log_bytes(need.dirty) <= self.quota.wal_size
        if room and (self.log_size == 0 or self.disk_free() >= DISK_MARGIN):
            return
        self.checkpoint()
        if log_bytes(need.dirty) > self.quota.wal_size:
            raise BufferFull(
                f"a transaction of {need.dirty} pages does not fit into {self.quota.wal_size} bytes of log; "
                "the buffer needs a larger max_size"
            )

    def checkpoint(self) -> None:
        """Move the log's content into the database and give the log's disk back."""
        with self._mapped(at_disk=True):
            ((busy, _, _),) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise BufferUnavailable(f"the log of {self.path} could not be emptied; this is tried again")

    def _checkpoint_late(self) -> None:
        """After a commit, which is durable already and must not fail because of what is not part of it."""
        try:
            self.checkpoint()
        except (BufferFull, BufferUnavailable) as error:
            log.warning(
                "the buffer's log was not emptied; the next commit that needs its room tries again: %s", error
            )
        except Damaged as error:
            self.damage = error

    # ---- sizes ----

    @property
    def log_size(self) -> int:
        """Bytes of the write-ahead log on disk."""
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def disk_free(self) -> int:
        """Bytes that this user may still write to the disk."""
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def disk_shortage(self, need: Need) -> int:
        """Bytes that the disk lacks for a transaction: for the log, and for what the file has still to grow by."""
        pages = self.pages()
        unwritten = pages.count * PAGE_SIZE - self.path.stat().st_size  # pages that are in the log only
        growth = max(0, need.new - pages.free) * PAGE_SIZE + max(0, unwritten)
        log = min(log_bytes(need.dirty), self.quota.wal_size)
        # A commit that does not make the file larger may use some of what is kept free: it gives it back.
        margin = DISK_MARGIN if growth else DISK_MARGIN // 2
        return growth + log + margin - self.disk_free()

    def relieve_disk(self, need: Need) -> None:
        """Give back what can be given back at once and is not needed for a transaction."""
        self.checkpoint()
        spare = min(self.pages().free - need.new, self.quota.vacuum_pages)
        if spare > 0:
            self.vacuum(spare)

    def pages(self) -> Pages:
        """The size of the database, without the number of its frames."""
        ((count,),) = self.rows("PRAGMA page_count")
        ((free,),) = self.rows("PRAGMA freelist_count")
        return Pages(count, free)

    # ---- errors ----

    @contextmanager
    def _mapped(self, *, at_disk: bool = False) -> Iterator[None]:
        """Errors as what they mean. `at_disk`: pages are only written here; a statement before has asked for them."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            raise self._meaning(error, at_disk) from error
        except UnicodeDecodeError as error:  # a message of SQLite's that quotes the damaged file
            raise Damaged(str(error)) from error

    def _meaning(self, error: sqlite3.Error, at_disk: bool) -> Exception:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # raised by the module itself, for bytes that are not the text they should be
            return Damaged(str(error))
        primary = code & 0xFF
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Damaged(str(error))
        if primary == sqlite3.SQLITE_ERROR and "no such" in str(error):  # a table that we made is not there
            return Damaged(str(error))
        # A disk may refuse and say that it has room: a project's quota, or what was freed meanwhile.
        if primary == sqlite3.SQLITE_FULL and not at_disk and self.disk_free() > self.quota.wal_size:
            return BufferFull(f"the buffer has reached its max_size of {self.quota.max_size} bytes")
        return cannot(self.path.parent, error)


def stored_text(data: object) -> str:
    """A text that was stored with `schema.text_bytes`."""
    try:
        if isinstance(data, bytes):
            return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Damaged(f"a name cannot be read: {error}") from error
    raise Damaged("a name cannot be read")


def cannot(directory: Path, error: Exception) -> BufferUnavailable:
    """The disk refuses: what happened and what to do about it."""
    reason = getattr(error, "strerror", None) or str(error)
    name = getattr(error, "sqlite_errorname", "")
    number = getattr(error, "errno", None)
    if name.startswith("SQLITE_FULL") or number in (errno.ENOSPC, errno.EDQUOT):
        advice = "free some space on its disk"
    elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")) or number in _FORBIDDEN:
        advice = "make the directory and its files writable for the user that runs shipper"
    else:
        advice = "check the disk (the kernel's log says more), its quota and limits"
    said = f"{reason} ({name})" if name else reason
    return BufferUnavailable(f"the buffer in {directory} cannot be used: {said}; {advice}")
