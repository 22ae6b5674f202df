"""The life of a record, as far as it is known: printed, offered, taken, committed, sealed, delivered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shipper.archive.codec import decode, decompress
from shipper.collect.cursor import Cursor
from shipper.collect.fingerprint import fingerprints
from shipper.collect.keys import parse_key
from shipper.emulator import Printed
from shipper.model import Codec, Kind, StoredCursor
from tests.chaos.harvest import Harvest
from tests.chaos.site import Site
from tests.e2e.daemon_process import printed


def life(site: Site, harvest: Harvest, line: Printed) -> str:
    """A paragraph for people."""
    ledger = site.ignite.ledger
    numbers = [at for at, other in enumerate(ledger.lines) if other == line]
    unsent = ledger.unsent.count(line)
    told = [
        f"record {line!r:.300}",
        f"  printed: {len(numbers)} times, as line {numbers} of {ledger.printed}",
        f"  offered: {'no stream ever carried it' if unsent else 'carried by a stream or still there'}",
        *(f"  {text}" for text in _in_buffer(site.buffer / "buffer.sqlite3", line)),
    ]
    for name, shelf in harvest.shelves.items():
        told.append(f"  delivered to {name}: {shelf.where(line) or 'no object has it'}")
        near = [span for span in shelf.spans() if span.replica_id in ("", line.replica_id)]
        told += [f"  gap in {name}: {span}" for span in near]
    if site.datadog is not None:
        had = sum(log["message"] == line.line for log in site.datadog.logs)
        told.append(f"  delivered to datadog: {had} times")
    if site.sentry is not None:
        had = sum(log["body"] == line.line for log in site.sentry.logs)
        told.append(f"  delivered to sentry: {had} times")
    about = [text for text in site.daemon.said().splitlines() if line.replica_id in text]
    return "\n".join([*told, *(f"  log: {text[:300]}" for text in about[-12:])])


@dataclass(frozen=True, slots=True)
class _Row:
    """A frame of the line's app and time."""

    frame: int
    codec: str
    partition: int


def _in_buffer(path: Path, line: Printed) -> Iterator[str]:
    """What the buffer's file knows of it."""
    if not path.exists():
        yield "taken: there is no buffer"
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        yield f"taken: {_taken(database, line)}"
        found = {row: times for row in _rows(database, line) if (times := _times(database, row, line))}
        yield "committed: " + (
            "; ".join(f"frame {row.frame} has it {times} times" for row, times in found.items())
            or "no frame in the buffer has it (acknowledged by all sinks, or never committed)"
        )
        sealed = [text for row in found for text in _sealed(database, row)]
        yield f"sealed: {'; '.join(sealed) or 'in no batch that waits'}"


def _taken(database: sqlite3.Connection, line: Printed) -> str:
    """What the cursor of its replica says."""
    (mine,) = fingerprints([line.timestamp_ms], [line.stream], [line.line])
    for cursor_id, key, state in database.execute("SELECT id, key, state FROM cursors").fetchall():
        kind, app, replica_id = parse_key(key if isinstance(key, str) else key.decode())
        if (kind, app.name, replica_id) != (Kind.LOGS, line.app, line.replica_id):
            continue
        rows = database.execute(
            "SELECT seq, data FROM segments WHERE cursor_id = ? ORDER BY seq", (cursor_id,)
        )
        cursor = Cursor.load(StoredCursor("", state, tuple(rows), 0))
        low, high = cursor.window.forgotten
        if times := cursor.window.tally()[mine]:
            return f"{times} times, the cursor has {cursor.taken} lines of its replica"
        if low <= line.timestamp_ms <= high:
            return f"its time is among those of older lines; {cursor.taken} lines of its replica were taken"
        return f"never, of its replica {cursor.taken} lines up to {cursor.newest} were"
    return "its replica has no cursor"


def _rows(database: sqlite3.Connection, line: Printed) -> list[_Row]:
    found = database.execute(
        "SELECT f.id, f.codec, f.partition_id FROM frames f JOIN partitions p ON p.id = f.partition_id "
        "WHERE p.kind = 'logs' AND p.app = ? AND f.first_ms <= ? AND f.last_ms >= ?",
        (line.app.encode(), line.timestamp_ms, line.timestamp_ms),
    )
    return [_Row(*values) for values in found.fetchall()]


def _times(database: sqlite3.Connection, row: _Row, line: Printed) -> int:
    """How often a frame has the line."""
    pieces = database.execute(
        "SELECT data FROM pieces WHERE id BETWEEN ? AND ? ORDER BY id",
        (row.frame * 4096, row.frame * 4096 + 4095),
    )
    data = decompress(Codec(row.codec), b"".join(piece for (piece,) in pieces))
    return sum(printed(record) == line for record in decode(data))


def _sealed(database: sqlite3.Connection, row: _Row) -> list[str]:
    """The batches that a frame is in."""
    found = database.execute(
        "SELECT slot, name FROM batches WHERE partition_id = ? AND first_frame <= ? AND last_frame >= ?",
        (row.partition, row.frame, row.frame),
    )
    return [f"frame {row.frame} for sink {slot} in batch {name}" for slot, name in found.fetchall()]
