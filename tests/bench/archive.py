"""What arrived: the records in the stand-in's objects or in a buffer file, to be compared with what was printed."""

from __future__ import annotations

import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipper.archive.codec import decode, decompress
from shipper.model import Codec
from tests.bench.printed import Tally
from tests.bench.processes import Server

_CODECS = {".zst": Codec.ZSTD, ".gz": Codec.GZIP, ".ndjson": Codec.NONE}


def tally_of(store: Server) -> Tally:
    """All log lines in the stand-in's objects."""
    tally = Tally()
    for path in store.ask("status")["paths"]:
        if "kind=logs" in path:
            with urllib.request.urlopen(f"http://127.0.0.1:{store.port}{path}") as answer:
                add(tally, decode(decompress(_CODECS[Path(path).suffix], answer.read())))
    return tally


def add(tally: Tally, records: Iterator[dict[str, Any]]) -> None:
    """Count records that have every field that the load server sends."""
    for record in records:
        tally.add(
            record["app"], record["replica_id"], record["timestamp_ms"], record["stream"], record["line"]
        )


def frames_of(buffer: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Every frame of logs in the buffer of a daemon that is gone: when it was committed (Unix ms), its records."""
    with sqlite3.connect(buffer / "buffer.sqlite3") as database:
        rows = database.execute(
            "SELECT frames.id, codec, committed_ms FROM frames JOIN partitions ON partitions.id = partition_id "
            "WHERE kind = 'logs'"
        ).fetchall()
        for frame_id, codec, committed_ms in rows:
            pieces = database.execute(
                "SELECT data FROM pieces WHERE id >> 12 = ? ORDER BY id", (frame_id,)
            )  # 4096 ids a frame
            data = b"".join(piece for (piece,) in pieces)
            yield committed_ms, list(decode(decompress(Codec(codec), data)))
    database.close()
