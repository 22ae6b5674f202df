"""Reading a damaged file: rows from both ends of a table up to the damage, and one by one in between."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from shipper.buffer.database import Damaged, Database, Row
from shipper.buffer.quota import PAGE_SIZE, Quota
from shipper.errors import BufferFull, BufferUnavailable

_PROBES: Final = (
    2_000  # numbers tried one by one without finding a row; a page holds some hundred rows at most
)
_UNREADABLE: Final = (Damaged, BufferUnavailable, BufferFull)


class DamagedFile:
    """A file to be read as far as it goes. `torn` are the tables of which something could not be read."""

    def __init__(self, source: Database) -> None:
        self._source = source
        self.torn: set[str] = set()

    def each(self, table: str, columns: str, keys: int = 1) -> Iterator[Row]:
        """The readable rows of a table; the first `keys` of the columns are its primary key."""
        names = columns.split(", ")[:keys]
        select = f"SELECT {columns} FROM {table}"  # noqa: S608 - our own names
        last: Row | None = None
        try:
            for row in self._source.each(f"{select} ORDER BY {', '.join(names)}"):
                last = row[:keys]
                yield row
        except _UNREADABLE:
            self.torn.add(table)
        else:
            return
        first: Row | None = None
        try:
            for row in self._source.each(f"{select} ORDER BY {', '.join(f'{name} DESC' for name in names)}"):
                if last is not None and row[:keys] <= last:
                    break
                first = row[:keys]
                yield row
        except (*_UNREADABLE, TypeError):  # the latter from comparing what is no key
            pass
        if keys == 1:
            yield from self._between(f"{select} WHERE {names[0]} = ?", last, first)

    def _between(self, select: str, last: Row | None, first: Row | None) -> Iterator[Row]:
        """Rows in the midst of the damage, until so many numbers in a row gave none."""
        number = _number(last, 0) + 1
        end = _number(first, sys.maxsize)
        stop = number + _PROBES
        while number < min(end, stop):
            for row in self.get(select, (number,)):
                yield row
                stop = number + _PROBES
            number += 1

    @property
    def is_of_version_1(self) -> bool:
        """Whether there is neither progress within batches nor carried state nor letters, only what looks like it.

        Its first page may be another file's (see `opened`), so the list of tables alone does not tell.
        """
        named = self.get("SELECT value FROM meta WHERE key = 'version'") == [("1",)]
        return named or not self.get("SELECT 1 FROM pragma_table_info('batches') WHERE name = 'plan'")

    def sequences(self, *tables: str) -> list[tuple[str, int]]:
        """The last number that each of these tables has given to a row, as far as it can be read."""
        found = self.get("SELECT name, seq FROM sqlite_sequence")
        return [(name, seq) for name, seq in found if name in tables and type(seq) is int and seq >= 0]

    def get(self, sql: str, parameters: tuple[int, ...] = ()) -> list[Row]:
        """The rows of a query, none if they cannot be read."""
        try:
            return self._source.rows(sql, parameters)
        except _UNREADABLE:
            return []


@contextmanager
def opened(path: Path, quota: Quota, first_page: bytes) -> Iterator[DamagedFile]:
    """The file, read with another first page where its own is beyond use.

    A file's first page says where its tables begin. `first_page` is that of a new file, where they begin at
    the same pages.
    """
    try:
        source = _readable(path, quota)
    except _UNREADABLE:
        _graft(path, first_page)
        source = Database.open_damaged(path, quota)
    with closing(source):
        yield DamagedFile(source)


def _readable(path: Path, quota: Quota) -> Database:
    source = Database.open_damaged(path, quota)
    try:
        known = source.rows("SELECT name FROM sqlite_schema WHERE name = 'frames'")
    except BaseException:
        source.close()
        raise
    if not known:
        source.close()
        raise Damaged("the list of tables is not ours")
    return source


def _graft(path: Path, first_page: bytes) -> None:
    page = bytearray(first_page)
    page[28:32] = bytes(4)  # the size in pages: 0 has SQLite take the file's own size
    with path.open("r+b") as file:
        if len(file.read(PAGE_SIZE)) == PAGE_SIZE:
            file.seek(0)
            file.write(page)


def _number(key: Row | None, default: int) -> int:
    return key[0] if key is not None and isinstance(key[0], int) else default
