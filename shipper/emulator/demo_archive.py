"""The demo's look at its archive: how much is there, and what it says when it is read back.

It reads with zstandard and orjson and not with the project's own codec: a proof should not share the prover's mistakes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import zstandard

from shipper.emulator.ledger import Built, Printed


@dataclass(frozen=True, slots=True)
class Extent:
    """How much an archive holds."""

    objects: int = 0
    size: int = 0  # bytes


def measure(archive: Path) -> Extent:
    """Count the objects and their bytes; files still being written have other names."""
    objects = size = 0
    for path in archive.glob("kind=*/**/*.ndjson.zst"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
        objects += 1
    return Extent(objects, size)


def records(archive: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Every record of a kind."""
    for path in sorted(archive.glob(f"kind={kind}/**/*.ndjson.zst")):
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            for line in io.BufferedReader(reader):
                yield orjson.loads(line)


def printed_lines(archive: Path) -> Iterator[Printed]:
    """The archived log lines in the form of the ledger."""
    for record in records(archive, "logs"):
        line: str | bytes = record["line"]
        if "line_base64" in record:
            line = base64.b64decode(record["line_base64"])
        yield Printed(
            record["app"], record["replica_id"], record["timestamp_ms"], record.get("stream", ""), line
        )


def built_lines(archive: Path) -> Iterator[Built]:
    """The archived lines of builds in the form of the ledger."""
    for record in records(archive, "builds"):
        exact = record.get("line_base64")
        line = record["line"].encode() if exact is None else base64.b64decode(exact)
        yield Built(record["app"], record["source"], record.get("build_id") or record["deploy_id"], line)
