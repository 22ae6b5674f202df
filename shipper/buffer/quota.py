"""How `max_size` is kept: pure decisions over sizes, in pages of the database.

The disk is shared out once: the write-ahead log may take `wal_size`, the database the rest. SQLite itself
refuses to grow the database beyond `max_pages`. A transaction writes each page that it changed to the log
once (pages are never spilled early), so an upper bound of the pages it changes bounds the log; when they
may not fit, the log is first emptied into the database. Of the database a reserve is kept for the rows that
seal, acknowledge and record losses, so that a full buffer can still be emptied.

The estimates are upper bounds, not predictions; what they get wrong, SQLite's own limit stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shipper.buffer.schema import PIECE_SIZE

MINIMUM_SIZE: Final = 16 * 1024 * 1024
# Measured with frames of 64 KiB to 4 MiB: 107 to 224 MB/s, against 95 to 175 with pages of 4 KiB. 16 KiB is
# faster for large frames but doubles the log of a commit that touches many small ones.
PAGE_SIZE: Final = 8192

# Left free on a disk that is smaller than max_size, so that what is there can still be delivered and forgotten.
DISK_MARGIN: Final = 4 * 1024 * 1024

_MIB: Final = 1024 * 1024
_LOGGED_PAGE: Final = PAGE_SIZE + 24  # https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_PER_MAP_PAGE: Final = PAGE_SIZE // 5  # https://www.sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages
_PER_TRUNK_PAGE: Final = PAGE_SIZE // 4 - 8
_INLINE: Final = PAGE_SIZE - 64  # what is smaller shares pages with its neighbours
_INDEX_ENTRY: Final = 24
_FRAME_ROW: Final = 160  # with its index entry
_CURSOR_ROW: Final = 64  # beside its key and bytes
_FIXED: Final = 32  # page 1, the sequence table, roots and inner pages of each tree


@dataclass(frozen=True, slots=True)
class Need:
    """Upper bounds for a transaction: pages the database may have to find, pages the log may have to take."""

    new: int
    dirty: int

    def plus(self, other: Need) -> Need:
        """Both in one transaction."""
        return Need(self.new + other.new, self.dirty + other.dirty)


@dataclass(frozen=True, slots=True)
class Pages:
    """How large the database is: its pages, how many of them are free, and the frames it holds."""

    count: int
    free: int
    frames: int = 0

    @property
    def used(self) -> int:
        """Pages with content."""
        return self.count - self.free


@dataclass(frozen=True, slots=True)
class Quota:
    """The shares of `max_size`. It is a bound for the disk, so it is never met exactly."""

    max_size: int

    def __post_init__(self) -> None:
        if self.max_size < MINIMUM_SIZE:
            raise ValueError(f"a buffer needs at least {MINIMUM_SIZE} bytes, {self.max_size} were given")

    @property
    def wal_size(self) -> int:
        """The most that the write-ahead log takes on disk."""
        return min(max(self.max_size // 4, 6 * _MIB), 32 * _MIB)

    @property
    def max_pages(self) -> int:
        """The most that the database takes on disk."""
        return (self.max_size - self.wal_size) // PAGE_SIZE

    @property
    def wal_pages(self) -> int:
        """The most pages that the log may hold."""
        return (self.wal_size - 32) // _LOGGED_PAGE

    @property
    def checkpoint_at(self) -> int:
        """The size of the log from which it is emptied: rarely, so that a page changed often is moved once."""
        return min(self.wal_size // 2, 8 * _MIB)

    @property
    def reserve_pages(self) -> int:
        """Pages that commits leave free."""
        return max(96, self.max_pages // 64)

    @property
    def largest_commit(self) -> int:
        """Bytes that a few frames may have which are committed to an empty buffer with cursors of little size."""
        return self.room_when_empty(0) * (PAGE_SIZE - 4) * 15 // 16

    @property
    def stage_pages(self) -> int:
        """Pages of frames that one transaction writes; a larger commit is written in several."""
        return self.wal_pages // 4

    def rows_per_deletion(self) -> int:
        """How many frames one transaction may delete: each may change pages of three trees."""
        return max(8, (self.wal_pages // 2 - 2 * _FIXED) // 4)

    def room(self, pages: Pages) -> int:
        """Pages that commits may still fill."""
        return self.max_pages - self.reserve_pages - pages.used

    def room_when_empty(self, stored: int) -> int:
        """The same when all frames are gone and cursors of so many bytes remain."""
        return self.max_pages - self.reserve_pages - 2 * _FIXED - 3 * stored // PAGE_SIZE

    def vacuum_step(self, pages: Pages, *, disk_is_short: bool) -> int:
        """How many pages to give back to the disk now, so that a file shrinks after an outage.

        Giving back moves pages, so a file that is only somewhat empty is left alone.
        """
        wanted = pages.free > 32 * _MIB // PAGE_SIZE and pages.free > pages.count // 2
        over = pages.count > self.max_pages or disk_is_short
        return min(pages.free, self.vacuum_pages) if wanted or over else 0

    @property
    def vacuum_pages(self) -> int:
        """The most pages that one transaction gives back."""
        return self.wal_pages // 8


def log_bytes(pages: int) -> int:
    """What the log grows by."""
    return pages * _LOGGED_PAGE + 32


def pages_for(sizes: Sequence[int]) -> int:
    """Pages for blobs of these sizes."""
    large = [size for size in sizes if size > _INLINE]
    shared = sum(sizes) - sum(large) + 24 * (len(sizes) - len(large))
    return sum(-(-size // (PAGE_SIZE - 4)) + 1 for size in large) + -(-2 * shared // PAGE_SIZE)


def piece_sizes(size: int) -> list[int]:
    """How a frame's bytes are cut."""
    if size <= PIECE_SIZE:
        return [size]
    return [min(PIECE_SIZE, size - at) for at in range(0, size, PIECE_SIZE)]


def need_of_frames(sizes: Sequence[int], partitions: int, names: int, pages: Pages) -> Need:
    """For frames of these sizes in so many partitions, and new partitions with `names` bytes of names and more.

    Rows are appended, but for the index by partition: there each partition may be on a page of its own.
    """
    blobs = pages_for([piece for size in sizes for piece in piece_sizes(size)])
    rows = -(-2 * (len(sizes) * _FRAME_ROW + names) // PAGE_SIZE) + 4
    touched = min(partitions, 3 * _INDEX_ENTRY * pages.frames // PAGE_SIZE + 4)
    return Need(blobs + rows, _with_maps(blobs + rows, pages) + touched)


def need_of_cursors(sizes: Sequence[int], stored: int, pages: Pages) -> Need:
    """For cursor rows of these sizes, where `stored` bytes of cursors are in the file already."""
    new = pages_for(sizes) + -(-2 * _CURSOR_ROW * len(sizes) // PAGE_SIZE)
    touched = min(2 * len(sizes), 3 * stored // PAGE_SIZE + 8)
    return Need(new, _with_maps(new, pages) + touched)


def need_of_deletion(frames: int, size: int, pages: Pages) -> Need:
    """For frames of `size` bytes in all. The freed pages themselves are not logged, only the lists of them."""
    freed = size // (PAGE_SIZE - 4) + frames
    maps = min(freed, pages.count // _PER_MAP_PAGE + 2)
    return Need(4, min(4 * frames, pages.count) + maps + freed // _PER_TRUNK_PAGE + 2 + _FIXED)


def need_of_sweep(sizes: Sequence[int], pages: Pages) -> Need:
    """For frames of these sizes, deleted in the order of their numbers, in which rows and small bytes lie."""
    large = sum(1 for size in sizes if size > _INLINE)
    rows = -(-2 * len(sizes) * _FRAME_ROW // PAGE_SIZE) + pages_for(
        [size for size in sizes if size <= _INLINE]
    )
    index = min(len(sizes), 3 * _INDEX_ENTRY * pages.frames // PAGE_SIZE + 4)
    freed = sum(sizes) // (PAGE_SIZE - 4) + len(sizes)
    maps = min(freed, pages.count // _PER_MAP_PAGE + 2)
    # Of three pages that an emptied one is balanced with, up to two are changed.
    return Need(
        4, 2 * (rows + large) + index + len(sizes) // 32 + maps + freed // _PER_TRUNK_PAGE + 2 + _FIXED
    )


def need_of_vacuum(pages: int) -> Need:
    """Each page given back may move another, which changes the page that points to it and its map."""
    return Need(0, 3 * pages + _FIXED)


def _with_maps(new: int, pages: Pages) -> int:
    """Pages logged for so many new pages: themselves, what maps them and the list of free pages they are taken from."""
    maps = min(new, pages.count // _PER_MAP_PAGE + new // _PER_MAP_PAGE + 2)
    return new + maps + new // _PER_TRUNK_PAGE + 2 + _FIXED
