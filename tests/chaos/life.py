"""The life of a record, as far as it is known: printed, offered, taken, committed, sealed, delivered."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from shipper.archive.codec import decode, decompress
from shipper.emulator import Printed
from shipper.model import Codec
from tests.chaos.harvest import Harvest
from tests.chaos.site import Site
from tests.e2e.daemon_process import printed


def life(site: Site, harvest: Harvest, line: Printed) -> str:
    """A paragraph for people."""
    ignite = site.ignite
    numbers = [at for at, other in enumerate(ignite.ledger.lines) if other == line]
    told = [f"record {line!r:.300}"]
    told.append(f"  printed: {len(numbers)} times, as line {numbers} of {ignite.ledger.printed}")
    unsent = ignite.ledger.unsent.count(line)
    told.append(
        f"  offered: {'no stream ever carried it' if unsent else 'carried by a stream or still there'}"
    )
    told.append(f"  taken and committed: {_in_buffer(site.buffer / 'buffer.sqlite3', line)}")
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
    told += [f"  log: {text[:300]}" for text in site.daemon.said().splitlines() if line.replica_id in text][
        -12:
    ]
    return "\n".join(told)


def _in_buffer(path: Path, line: Printed) -> str:
    """The frames that have it, and whether a batch has been sealed of them."""
    if not path.exists():
        return "there is no buffer"
    found = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        batches = database.execute(
            "SELECT slot, name, partition_id, first_frame, last_frame FROM batches"
        ).fetchall()
        rows = database.execute(
            "SELECT f.id, f.codec, f.partition_id FROM frames f JOIN partitions p ON p.id = f.partition_id "
            "WHERE p.kind = 'logs' AND p.app = ? AND f.first_ms <= ? AND f.last_ms >= ?",
            (line.app.encode(), line.timestamp_ms, line.timestamp_ms),
        ).fetchall()
        for frame, codec, partition in rows:
            pieces = database.execute(
                "SELECT data FROM pieces WHERE id BETWEEN ? AND ? ORDER BY id",
                (frame * 4096, frame * 4096 + 4095),
            )
            data = decompress(Codec(codec), b"".join(piece for (piece,) in pieces))
            times = sum(printed(record) == line for record in decode(data))
            sealed = [
                f"sink {slot} batch {name}"
                for slot, name, of, first, last in batches
                if of == partition and first <= frame <= last
            ]
            if times:
                found.append(f"frame {frame} has it {times} times, sealed in: {sealed or 'no batch'}")
    return "; ".join(found) or "no frame in the buffer has it (acknowledged by all sinks, or never committed)"
