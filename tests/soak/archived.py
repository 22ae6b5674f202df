"""What an archive has, as a tally of each replica's lines: files are read one at a time."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from shipper.archive.codec import decode, decompress
from shipper.model import Codec
from tests.bench.printed import Tally
from tests.bench.processes import Server

CODECS: Final = {".zst": Codec.ZSTD, ".gz": Codec.GZIP, ".ndjson": Codec.NONE}


class Archived:
    """Tallies by replica, and how many records of each kind there are."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.records: Counter[str] = Counter()
        self.objects = 0
        self.gaps: list[dict[str, Any]] = []

    def put(self, key: str, body: bytes) -> None:
        """One object."""
        self.objects += 1
        kind = key.partition("kind=")[2].partition("/")[0]
        for record in decode(decompress(CODECS[Path(key).suffix], body)):
            self.records[kind] += 1
            if kind == "gaps":
                self.gaps.append(record)
            if kind == "logs":
                replica = record["replica_id"]
                tally = self.tallies.setdefault(replica, Tally())
                tally.add(
                    record["app"], replica, record["timestamp_ms"], record["stream"], _text(record["line"])
                )

    def differences(self, printed: dict[str, str]) -> Iterator[str]:
        """Replicas whose lines are not those that they printed (count and digest)."""
        for replica in sorted(printed.keys() | self.tallies.keys()):
            found = str(self.tallies.get(replica, Tally()))
            if found != printed.get(replica, str(Tally())):
                gaps = [json.dumps(gap) for gap in self.gaps if gap.get("replica_id") == replica]
                yield f"{replica}: printed {printed.get(replica)}, archived {found}; gaps: {gaps or 'none'}"


def in_folder(root: Path) -> Archived:
    """An archive on a disk."""
    archived = Archived()
    for path in sorted(root.rglob("kind=*/**/*.ndjson*")):
        if not path.name.startswith("."):
            archived.put(str(path.relative_to(root)), path.read_bytes())
    return archived


def in_store(store: Server) -> Archived:
    """An archive in the stand-in for S3."""
    archived = Archived()
    for path in store.ask("status")["paths"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{store.port}{path}") as answer:
            archived.put(path, answer.read())
    return archived


def _text(line: str | bytes) -> str:
    return line if isinstance(line, str) else line.decode("utf-8", "replace")
