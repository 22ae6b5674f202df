"""A pipeline in plain Python: it drops, joins and holds back by what the lines begin with.

`drop` drops a line; `trace` begins a trace, which lines with `+` continue and any other line ends.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from shipper.entry import Entry
from shipper.model import Kind, Partition
from shipper.transform.port import Ending


@dataclass
class FakePipeline:
    """`fed` remembers each slice; `broken` raises in the next feeds; the app `untouched` passes as it is."""

    plan: str = "plan-1"
    rewrites: bool = True
    hold_s: float = 3.0
    fed: list[bytes] = field(default_factory=list)
    broken: int = 0
    untouched: str = ""

    def touches(self, partition: Partition) -> bool:
        return partition.app != self.untouched

    def start(self, partition: Partition, state: bytes) -> FakePass:
        return FakePass(self, partition.kind, json.loads(state) if state else {})

    def encode(self, entries: Sequence[Entry]) -> bytes:
        return b"".join(orjson.dumps(entry.record, option=orjson.OPT_APPEND_NEWLINE) for entry in entries)


class FakePass:
    def __init__(self, pipeline: FakePipeline, kind: Kind, state: dict[str, Any]) -> None:
        self._pipeline = pipeline
        self._kind = kind
        self._held: list[dict[str, Any]] = state.get("held", [])
        self._seen: int = state.get("seen", 0)
        self._dropped: Counter[str] = Counter()
        self._redacted: Counter[str] = Counter()

    def feed(self, ndjson: bytes) -> list[Entry]:
        assert ndjson.endswith(b"\n"), "whole lines"
        self._pipeline.fed.append(ndjson)
        if self._pipeline.broken:
            self._pipeline.broken -= 1
            raise RuntimeError("a bug")
        return [entry for line in ndjson.splitlines() for entry in self._take(line)]

    def flush(self) -> list[Entry]:
        held, self._held = self._held, []
        if not held:
            return []
        record = {**held[0], "line": "\n".join(one["line"] for one in held)}
        return [_entry(record, self._kind, lines=len(held))]

    def finish(self) -> Ending:
        state = {"held": self._held, "seen": self._seen}
        empty = not self._held and not self._seen
        return Ending(
            state=b"" if empty else json.dumps(state).encode(),
            held=len(self._held),
            hold_s=self._pipeline.hold_s,
            dropped=dict(self._dropped),
            redacted=dict(self._redacted),
        )

    def _take(self, line: bytes) -> list[Entry]:
        record = json.loads(line)
        text = record["line"]
        if text.startswith("drop"):
            self._dropped["filtered"] += 1
            return []
        if "secret" in text:
            self._redacted["bearer_token"] += 1
            record["line"] = text = text.replace("secret", "***")
        if text.startswith("count"):
            self._seen += 1
        if text.startswith("+") and self._held:
            self._held.append(record)
            return []
        before = self.flush()
        if text.startswith("trace"):
            self._held = [record]
            return before
        return [*before, _entry(record, self._kind)]


def _entry(record: dict[str, Any], kind: Kind, *, lines: int = 1) -> Entry:
    return Entry(record, kind, record["timestamp_ms"], record["line"], lines=lines)
