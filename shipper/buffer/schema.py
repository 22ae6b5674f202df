"""The tables of the buffer file, and every SQL statement that more than one module uses.

Texts that the platform gives are BLOBs: UTF-8 with lone surrogates let through, which TEXT would refuse.

A frame's bytes lie in `pieces`, apart from what is known of it, so that a look at all frames does not read
their bytes. The pieces of frame f have the ids f * 4096 and up. Pieces without a row in `frames` belong to
a commit that did not end.

`frames.sinks` has a bit for the slot of each sink that is to get the frame. What a sink has done with the
frames of a partition is kept as ranges, not per frame: those up to `progress.sealed_through` are sealed,
and sealed frames that lie in none of the sink's `batches` are acknowledged. Frames with an id below
`sinks.from_frame` are none of the sink's: its slot may have been another sink's before.

What a sink's pipeline holds back (`carried`) and what a sink refused for good (`letters`) outlive the frames that
they came from. So their rows say by themselves whose they are.

SQLite checks a page's structure but not its content. `crc` is the CRC-32 of a row's bytes, and `checksum` that of
the other values of a row on which it depends where records end up.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 2

_CARRIED: Final = """CREATE TABLE carried (
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink BLOB NOT NULL, kind TEXT NOT NULL,
        organization BLOB NOT NULL, app BLOB NOT NULL, hour INTEGER NOT NULL, records INTEGER NOT NULL,
        since_ms INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, checksum INTEGER NOT NULL,
        state BLOB NOT NULL)"""
_LETTERS: Final = """CREATE TABLE letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink BLOB NOT NULL, kind TEXT NOT NULL,
        organization BLOB NOT NULL, app BLOB NOT NULL, hour INTEGER NOT NULL, buried_ms INTEGER NOT NULL,
        timestamp_ms INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL,
        checksum INTEGER NOT NULL, reason BLOB NOT NULL, record BLOB NOT NULL)"""

TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sinks (slot INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, from_frame INTEGER NOT NULL)",
    """CREATE TABLE partitions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, organization BLOB NOT NULL,
        app BLOB NOT NULL, hour INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE frames (
        id INTEGER PRIMARY KEY AUTOINCREMENT, partition_id INTEGER NOT NULL, codec TEXT NOT NULL,
        records INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, size INTEGER NOT NULL,
        crc INTEGER NOT NULL, sinks INTEGER NOT NULL, committed_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL)""",
    "CREATE INDEX frames_of_partition ON frames (partition_id, id)",
    "CREATE TABLE pieces (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    """CREATE TABLE progress (
        slot INTEGER NOT NULL, partition_id INTEGER NOT NULL, sealed_through INTEGER NOT NULL,
        PRIMARY KEY (slot, partition_id)) WITHOUT ROWID""",
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL, partition_id INTEGER NOT NULL,
        name TEXT NOT NULL, codec TEXT NOT NULL, frames INTEGER NOT NULL, records INTEGER NOT NULL,
        size INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
        first_frame INTEGER NOT NULL, last_frame INTEGER NOT NULL, committed_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, plan TEXT NOT NULL DEFAULT '')""",
    """CREATE TABLE cursors (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, state BLOB NOT NULL,
        updated_ms INTEGER NOT NULL)""",
    """CREATE TABLE segments (
        cursor_id INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (cursor_id, seq)) WITHOUT ROWID""",
    """CREATE TABLE losses (
        id INTEGER PRIMARY KEY, organization BLOB NOT NULL, app BLOB NOT NULL, kind TEXT NOT NULL,
        from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, reason TEXT NOT NULL, lost INTEGER,
        detail TEXT NOT NULL)""",
    _CARRIED,
    _LETTERS,
)
"""In this order they always get the same root pages, also where a file was upgraded, as the root pages of a file with
auto_vacuum are its first ones (https://www.sqlite.org/pragma.html#pragma_auto_vacuum); salvage relies on it.
"""

UPGRADES: Final = {
    1: (
        "ALTER TABLE batches ADD COLUMN done INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN plan TEXT NOT NULL DEFAULT ''",
        _CARRIED,
        _LETTERS,
    ),
}
"""What makes a file of one version one of the next."""

PIECES_PER_FRAME: Final = 4096
PIECE_SIZE: Final = 1024 * 1024

FRAME_COLUMNS: Final = (
    "id, partition_id, codec, records, first_ms, last_ms, size, crc, sinks, committed_ms, checksum"
)
PARTITION_COLUMNS: Final = "id, kind, organization, app, hour, checksum"
BATCH_COLUMNS: Final = (
    "id, slot, partition_id, name, codec, frames, records, size, first_ms, last_ms, first_frame, last_frame, "
    "committed_ms, attempts, done, plan"
)
CARRIED_COLUMNS: Final = "id, sink, kind, organization, app, hour, records, since_ms, size, crc, checksum"
LETTER_COLUMNS: Final = (
    "id, sink, kind, organization, app, hour, buried_ms, timestamp_ms, size, crc, checksum"
)

FRAMES: Final = f"SELECT {FRAME_COLUMNS} FROM frames"  # noqa: S608 - here and below: our own column names
FRAMES_IN_RANGE: Final = f"{FRAMES} WHERE partition_id = ? AND id BETWEEN ? AND ? ORDER BY id"
PARTITIONS: Final = f"SELECT {PARTITION_COLUMNS} FROM partitions"  # noqa: S608
PIECES_OF_FRAME: Final = "SELECT data FROM pieces WHERE id BETWEEN ? AND ? ORDER BY id"
INSERT_FRAME: Final = f"INSERT INTO frames ({FRAME_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
INSERT_PIECE: Final = "INSERT INTO pieces (id, data) VALUES (?, ?)"
BATCHES: Final = f"SELECT {BATCH_COLUMNS} FROM batches ORDER BY id"  # noqa: S608
INSERT_BATCH: Final = f"INSERT INTO batches ({BATCH_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
INSERT_PARTITION: Final = f"INSERT INTO partitions ({PARTITION_COLUMNS}) VALUES (?,?,?,?,?,?)"  # noqa: S608
INSERT_LOSS: Final = (
    "INSERT INTO losses (organization, app, kind, from_ms, to_ms, reason, lost, detail) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_CARRIED: Final = f"INSERT INTO carried ({CARRIED_COLUMNS}, state) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
INSERT_LETTER: Final = (
    f"INSERT INTO letters ({LETTER_COLUMNS}, reason, record) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
)
DELETE_FRAME: Final = "DELETE FROM frames WHERE id = ?"
DELETE_PIECES: Final = "DELETE FROM pieces WHERE id BETWEEN ? AND ?"
DELETE_BATCH: Final = "DELETE FROM batches WHERE id = ?"
DELETE_PARTITION: Final = "DELETE FROM partitions WHERE id = ?"
DELETE_PROGRESS: Final = "DELETE FROM progress WHERE partition_id = ?"
DELETE_CARRIED: Final = "DELETE FROM carried WHERE id = ?"
DELETE_LETTER: Final = "DELETE FROM letters WHERE id = ?"
SET_PROGRESS: Final = "INSERT OR REPLACE INTO progress (slot, partition_id, sealed_through) VALUES (?, ?, ?)"


def text_bytes(text: str) -> bytes:
    """Any Python string, lone surrogates included, as it is stored."""
    return text.encode("utf-8", "surrogatepass")


def pieces_of(frame_id: int) -> tuple[int, int]:
    """The first and last id that a piece of this frame may have."""
    return frame_id * PIECES_PER_FRAME, frame_id * PIECES_PER_FRAME + PIECES_PER_FRAME - 1
