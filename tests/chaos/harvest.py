"""What each sink of a run has: archives read as they lie, intakes as they were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shipper.archive.codec import decode, decompress
from shipper.emulator import Printed
from tests.chaos.oracle import GapSpan, Truth, Verdict, as_printed, judge
from tests.chaos.site import Site
from tests.chaos.stores import BUCKET
from tests.e2e.daemon_process import CODECS, printed

FORGOTTEN_MS: Final = 10_000
"""So long a daemon may take, on a busy machine, until it has stored that it follows a replica that was listed."""


@dataclass
class Shelf:
    """The objects of an archive; each is read once, as its bytes never change."""

    lines: dict[str, list[Printed]] = field(default_factory=dict)
    gaps: dict[str, list[GapSpan]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def put(self, key: str, body: bytes) -> None:
        """One object."""
        records = list(decode(decompress(CODECS[Path(key).suffix], body)))
        if "kind=logs" in key:
            self.lines[key] = [printed(record) for record in records]
        elif "kind=gaps" in key:
            logs = [record for record in records if record["stream_kind"] == "logs"]
            self.gaps[key] = [GapSpan.of(record) for record in logs]
        else:
            self.events[key] = records

    def has(self, key: str) -> bool:
        """Whether it was put."""
        return key in self.lines or key in self.gaps or key in self.events

    def counter(self) -> Counter[Printed]:
        """All lines."""
        return Counter(line for lines in self.lines.values() for line in lines)

    def spans(self) -> list[GapSpan]:
        """All gaps of logs."""
        return [span for spans in self.gaps.values() for span in spans]

    def where(self, line: Printed) -> list[str]:
        """The objects that a line is in."""
        return [key for key, lines in self.lines.items() if line in lines]


def folder(shelf: Shelf, root: Path) -> Iterator[tuple[str, bytes]]:
    """The objects below a folder that a shelf does not have."""
    for path in sorted(root.rglob("*")):
        key = str(path.relative_to(root))
        if path.suffix in CODECS and not path.name.startswith(".") and not shelf.has(key):
            yield key, path.read_bytes()


class Harvest:
    """Looks at all sinks of a site, as often as it is asked."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.shelves = {name: Shelf() for name in site.plan.sinks if name in ("directory", "s3")}

    def look(self) -> None:
        """Read what is new in the archives. Blocking."""
        for name, shelf in self.shelves.items():
            objects = folder(shelf, self._site.archive) if name == "directory" else self._bucket()
            for key, body in objects:
                shelf.put(key, body)

    def _bucket(self) -> Iterator[tuple[str, bytes]]:
        shelf, store = self.shelves["s3"], self._site.store
        assert store is not None
        pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for page in pages:
            for item in page.get("Contents", ()):
                if not shelf.has(item["Key"]):
                    yield item["Key"], store.client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()

    # ---- judging ----

    def truth(self) -> Truth:
        """What the platform knows by now."""
        ignite = self._site.ignite
        obtainable: Counter[Printed] = Counter()
        for app in ignite.world.apps.values():
            for replica in app.replicas.values():
                container = replica.container
                obtainable.update(container.lines_within_reach())
        return Truth(ignite.ledger.counter(), Counter(ignite.calls.repeated), obtainable, self._unlisted())

    def _unlisted(self) -> frozenset[str]:
        """Replicas that no listing named, or only one to a daemon that ended before it had written that down: while
        they lived or soon after, and no archive has a line of them. The next daemon knows them from events alone.
        """
        site = self._site
        known = {line.replica_id for shelf in self.shelves.values() for line in shelf.counter()}
        spans: dict[str, tuple[int, int]] = {}
        for line in site.ignite.ledger.lines:
            first, last = spans.get(line.replica_id, (line.timestamp_ms, line.timestamp_ms))
            spans[line.replica_id] = min(first, line.timestamp_ms), max(last, line.timestamp_ms)
        forgotten = {
            name
            for name, (first, last) in spans.items()
            if name not in known and any(first <= at <= last + FORGOTTEN_MS for at in site.daemon.ended_ms)
        }
        return frozenset((spans.keys() - site.ignite.calls.listed) | forgotten)

    def verdicts(self) -> list[Verdict]:
        """Of every sink."""
        truth = self.truth()
        found = [
            judge(name, truth, shelf.counter(), shelf.spans(), once=True)
            for name, shelf in self.shelves.items()
        ]
        spans = [span for shelf in self.shelves.values() for span in shelf.spans()]
        for name, seen in self._intakes().items():
            found.append(judge(name, truth, as_printed(truth.printed, seen), spans, once=False))
        return found

    def _intakes(self) -> dict[str, Iterable[tuple[str, int]]]:
        site, found = self._site, {}
        if site.datadog is not None:
            found["datadog"] = [(log["message"], int(log["timestamp"])) for log in site.datadog.logs]
        if site.sentry is not None:
            found["sentry"] = [
                (str(log["body"]), round(float(str(log["timestamp"])) * 1000)) for log in site.sentry.logs
            ]
        return found

    def extra_faults(self) -> list[str]:
        """What a sink has twice that came and went. What it was not there for it does not have."""
        shelf = Shelf()
        for key, body in folder(shelf, self._site.extra):
            shelf.put(key, body)
        verdict = judge("extra", self.truth(), shelf.counter(), [], once=True)
        return [f"extra: twice: {line}" for line in verdict.doubled][:5]

    def event_faults(self) -> list[str]:
        """Events that are archived twice, or that the platform still shows and no archive has."""
        faults = []
        happened = Counter(
            (e.app, e.replica_id, e.timestamp_ms, e.reason, e.message, e.count)
            for e in self._site.ignite.ledger.events
        )
        current = {
            (app.name, e.replica_id, e.timestamp_ms, e.reason, e.message, e.count)
            for app in self._site.ignite.world.apps.values()
            for e in app.events()
        }
        for name, shelf in self.shelves.items():
            if any(span.reason in ("buffer_full", "buffer_corrupt") for span in shelf.spans()):
                continue
            had = Counter(
                (
                    r["app"],
                    r.get("replica_id", ""),
                    r["timestamp_ms"],
                    r["reason"],
                    r.get("message", ""),
                    r.get("count", 0),
                )
                for records in shelf.events.values()
                for r in records
            )
            faults += [f"{name}: event twice: {event}" for event in had - happened]
            faults += [f"{name}: event missing: {event}" for event in current - set(had)]
        return faults
