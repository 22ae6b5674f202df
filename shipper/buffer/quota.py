"""How `max_size` is kept: pure decisions over sizes, in pages of the database.

The disk is shared out once: the write-ahead log may take `wal_size`, the database the rest. SQLite itself
refuses to grow the database beyond `max_pages`. A transaction writes each page that it changed to the log
once (pages are never spilled early), so an upper bound of the pages it changes bounds the log; when they
may not fit, the log is first emptied into the database. Of the database a reserve is kept for the rows that
seal, acknowledge and record losses, so that a full buffer can still be emptied. So are small shares for what
pipelines hold back and for dead letters, without which a batch could not be settled; beyond these, frames and they
compete for room.

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

LARGEST_STATE: Final = 1024 * 1024
"""Bytes that a sink's pipeline may hold back of one partition, at most."""

_MIB: Final = 1024 * 1024
_LOGGED_PAGE: Final = PAGE_SIZE + 24  # https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_PER_MAP_PAGE: Final = PAGE_SIZE // 5  # https://www.sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages
_PER_TRUNK_PAGE: Final = PAGE_SIZE // 4 - 8
_INLINE: Final = PAGE_SIZE - 64  # what is smaller shares pages with its neighbours
_INDEX_ENTRY: Final = 24
_FRAME_ROW: Final = 160  # with its index entry
_ROW: Final = 64  # of a cursor, carried state or a letter, beside its names and bytes
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
    """How large the database is: its pages, how many of them are free, and the frames it holds.

    `aside` of the free ones are kept for what shares of the file are set aside for.
    """

    count: int
    free: int
    frames: int = 0
    aside: int = 0

    @property
    def used(self) -> int:
        """Pages with content."""
        return self.count - self.free


@dataclass(frozen=True, slots=True)
class Share:
    """What something beside frames may take, in bytes: `least` whatever frames take, `most` where they leave room."""

    least: int
    most: int

    def pages_aside(self, stored: int) -> int:
        """Pages to keep free for it when it takes so much."""
        return -(-max(0, self.least - stored) // _INLINE)


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
    def letters(self) -> Share:
        """For dead letters."""
        most = min(self.max_size // 16, 64 * _MIB)
        return Share(most // 16, most)

    @property
    def carried(self) -> Share:
        """For what pipelines hold back; at least one state of the largest size."""
        most = min(self.max_size // 32, 64 * _MIB)
        least = max(most // 8, LARGEST_STATE + LARGEST_STATE // 16)
        return Share(least, max(least, most))

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
        return self.max_pages - self.reserve_pages - pages.aside - pages.used

    def room_when_empty(self, stored: int) -> int:
        """The same when all frames are gone and cursors of so many bytes remain, and the shares are used up."""
        shares = self.carried.pages_aside(0) + -(-self.letters.most // _INLINE)
        return self.max_pages - self.reserve_pages - shares - 2 * _FIXED - 3 * stored // PAGE_SIZE

    def allowed(self, share: Share, stored: int, pages: Pages) -> int:
        """Bytes that something may take now that takes so much."""
        room = self.room(pages) * _INLINE
        return min(share.most, max(share.least, stored + room))

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


def need_of_rows(sizes: Sequence[int], stored: int, pages: Pages) -> Need:
    """For rows of these sizes, of cursors, carried state or letters, where the table has `stored` bytes already."""
    new = pages_for(sizes) + -(-2 * _ROW * len(sizes) // PAGE_SIZE)
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


def need_of_forgetting(sizes: Sequence[int], pages: Pages) -> Need:
    """For the first rows of a table, of these sizes: pages that are emptied are not logged, but their neighbours."""
    freed = sum(sizes) // (PAGE_SIZE - 4) + len(sizes)
    maps = min(freed, pages.count // _PER_MAP_PAGE + 2)
    return Need(4, 2 * pages_for(sizes) + maps + freed // _PER_TRUNK_PAGE + 2 + _FIXED)


def need_of_vacuum(pages: int) -> Need:
    """Each page given back may move another, which changes the page that points to it and its map."""
    return Need(0, 3 * pages + _FIXED)


def _with_maps(new: int, pages: Pages) -> int:
    """Pages logged for so many new pages: themselves, what maps them and the list of free pages they are taken from."""
    maps = min(new, pages.count // _PER_MAP_PAGE + new // _PER_MAP_PAGE + 2)
    return new + maps + new // _PER_TRUNK_PAGE + 2 + _FIXED
