"""One sink's pipeline: decode, join, read, route, redact. See `transform.port` for what delivery may rely on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.entry import Entry
from shipper.model import Kind, Partition
from shipper.transform.decisions import Decisions
from shipper.transform.decoding import decode, encode
from shipper.transform.joining import Joiner, JoinLimits
from shipper.transform.port import Ending, Pass
from shipper.transform.reading import Reader
from shipper.transform.recent import Recent
from shipper.transform.redacting import Redactor
from shipper.transform.routes import Path, RouteTable
from shipper.transform.rules import Rules
from shipper.transform.state import pack, unpack

UNDECODABLE: Final = "undecodable"

_JOIN: Final = "join"
_REMEMBERED: Final = 20_000  # apps, with what the routes do with each of their kinds


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sink's records go through. None, where it does not ask for it.

    `archive`: records are encoded again as they came, so what is read from them matters to routes alone.
    """

    routes: RouteTable
    rules: Rules
    reader: Reader | None = None
    join: JoinLimits | None = None
    recent: Recent | None = None
    archive: bool = False


class SinkPipeline:
    """The pipeline of the sink `name`."""

    def __init__(self, name: str, plan: str, parts: Parts) -> None:
        self.plan = plan
        self.rewrites = bool(parts.rules) or parts.routes.asks_for(name)
        self._name = name
        self._parts = parts
        self._paths: dict[tuple[Kind, str, str], Path] = {}

    def touches(self, partition: Partition) -> bool:
        """Whether anything of the partition may come out other than it went in."""
        brings_all = self._path(partition).brings_all(self._name)
        return not brings_all or self._parts.rules.of(partition.app) is not None

    def start(self, partition: Partition, state: bytes) -> Pass:
        """Begin with what the pass before left."""
        left = unpack(state)
        path = self._path(partition)
        parts = self._parts
        logs = partition.kind is Kind.LOGS
        asked = not parts.archive or path.needs_level(self._name)
        reader = parts.reader if logs and asked else None
        limits = parts.join if logs else None
        joiner = None
        if limits is not None or _JOIN in left:
            joiner = Joiner.resume(left.get(_JOIN, b""), limits or JoinLimits())
        return _Pass(
            partition,
            Decisions(path, self._name, left),
            Redactor(redaction) if (redaction := parts.rules.of(partition.app)) else None,
            reader=reader,
            joiner=joiner,
            limits=limits,
            recent=parts.recent if partition.kind in (Kind.LOGS, Kind.EVENTS) else None,
        )

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Entries as NDJSON of the archive's contract."""
        return encode(entries)

    def _path(self, partition: Partition) -> Path:
        key = (partition.kind, partition.organization, partition.app)
        path = self._paths.get(key)
        if path is None:
            if len(self._paths) >= _REMEMBERED:
                self._paths.clear()
            path = self._paths[key] = self._parts.routes.path(partition)
        return path


class _Pass:
    """One batch. Without `limits` a joiner only lets go what another configuration held."""

    def __init__(
        self,
        partition: Partition,
        decisions: Decisions,
        redactor: Redactor | None,
        *,
        reader: Reader | None,
        joiner: Joiner | None,
        limits: JoinLimits | None,
        recent: Recent | None,
    ) -> None:
        self._partition = partition
        self._decisions = decisions
        self._redactor = redactor
        self._reader = reader
        self._joiner = joiner
        self._limits = limits
        self._recent = recent
        self._undecodable = 0

    def feed(self, ndjson: bytes) -> list[Entry]:
        """The entries that these lines complete."""
        entries, undecodable = decode(self._partition.kind, ndjson)
        self._undecodable += undecodable
        if self._joiner is not None:
            entries = self._joiner.feed(entries) if self._limits else [*self._joiner.flush(), *entries]
        return self._through(entries)

    def flush(self) -> list[Entry]:
        """What is held back, as it is."""
        return self._through(self._joiner.flush()) if self._joiner is not None else []

    def finish(self) -> Ending:
        """The end of the pass."""
        joiner, decisions = self._joiner, self._decisions
        dropped = Counter(decisions.dropped)
        if self._undecodable:
            dropped[UNDECODABLE] = self._undecodable
        held = joiner.held if joiner is not None else 0
        return Ending(
            state=pack({_JOIN: joiner.state() if joiner is not None else b"", **decisions.states()}),
            held=held,
            hold_s=self._limits.hold_s if held and self._limits is not None else 0.0,
            dropped=dropped,
            redacted=self._redacted(),
            elsewhere=decisions.elsewhere,
        )

    def _redacted(self) -> Mapping[str, int]:
        counts = self._redactor.counts if self._redactor is not None else Counter[str]()
        return {name: times for name, times in counts.items() if times}

    def _through(self, entries: list[Entry]) -> list[Entry]:
        if self._reader is not None:
            app = self._partition.app
            for entry in entries:
                self._reader.read(app, entry)
        passed = self._decisions.pass_on(entries)
        if self._redactor is not None:
            self._redactor.clean(passed)
        if self._recent is not None:
            self._remember(self._recent, entries, passed)
        return passed

    def _remember(self, recent: Recent, entries: list[Entry], passed: list[Entry]) -> None:
        """Lines that do not go to the sink may still come before a failure that does, without their secrets."""
        if self._redactor is not None and len(passed) < len(entries):
            going = set(map(id, passed))
            self._redactor.clean([entry for entry in entries if id(entry) not in going], counted=False)
        recent.follow(entries)
