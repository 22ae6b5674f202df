"""The ledger: everything that the emulated apps printed and that happened to them, to compare an archive with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Printed(NamedTuple):
    """One line as it was printed. `line` is text; bytes only where they are not valid UTF-8."""

    app: str
    replica_id: str
    timestamp_ms: int
    stream: str  # "stdout" or "stderr"
    line: str | bytes


class Built(NamedTuple):
    """One line that a build (or a compile: see `source`) printed, as its bytes without the line's end."""

    app: str
    source: str
    build_id: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Happened:
    """One platform event as it was observed. A repeated event is a new entry with a higher count."""

    app: str
    replica_id: str
    timestamp_ms: int
    kind: (
        str  # the wire name, for example "APP_EVENT_KIND_OOM_KILLED"; a number as text where there is no name
    )
    reason: str
    message: str
    count: int
    severity: str


@dataclass(slots=True)
class Ledger:
    """Everything printed, in order, and which of it nobody can have had.

    `unsent` are lines that became unreachable (rotated away, container replaced, pod gone) before any stream or answer
    had carried them to anyone. A line that was sent into a connection that then broke is not among them: the client
    could have had it. With `keep=False` only the numbers are kept.
    """

    keep: bool = True
    lines: list[Printed] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)
    unsent: list[Printed] = field(default_factory=list)
    output: dict[tuple[str, str, str], bytearray] = field(default_factory=dict)  # by app, source, build_id
    printed: int = 0
    happened: int = 0
    lost: int = 0

    def print(self, line: Printed) -> None:
        """Note one line."""
        self.printed += 1
        if self.keep:
            self.lines.append(line)

    def happen(self, event: Happened) -> None:
        """Note one event."""
        self.happened += 1
        if self.keep:
            self.events.append(event)

    def built(self, app: str, source: str, build_id: str, data: bytes) -> None:
        """Note what a build printed."""
        if self.keep:
            self.output.setdefault((app, source, build_id), bytearray()).extend(data)

    def lose(self, lines: Iterable[Printed]) -> None:
        """Note lines that nobody was sent and nobody can ask for any more."""
        for line in lines:
            self.lost += 1
            if self.keep:
                self.unsent.append(line)

    def counter(self, *, app: str | None = None, replica_id: str | None = None) -> Counter[Printed]:
        """Everything printed as a multiset, of one app or one replica if named."""
        return Counter(
            line
            for line in self.lines
            if (app is None or line.app == app) and (replica_id is None or line.replica_id == replica_id)
        )

    def built_lines(self) -> Counter[Built]:
        """Everything that builds printed, cut at its line ends (LF, or CR LF)."""
        return Counter(
            Built(app, source, build_id, line.removesuffix(b"\r"))
            for (app, source, build_id), data in self.output.items()
            for line in bytes(data).removesuffix(b"\n").split(b"\n")
            if data
        )

    def obtainable(self) -> Counter[Printed]:
        """Everything printed without what was never sent to anyone and is gone."""
        return self.counter() - Counter(self.unsent)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Printed against archived, as multisets. `missing` and `surplus` hold the lines themselves."""

    printed: int
    archived: int
    missing: Counter[Printed]
    surplus: Counter[Printed]

    @property
    def equal(self) -> bool:
        """Whether every printed line is archived exactly as often as it was printed, and nothing else is."""
        return not self.missing and not self.surplus


def compare(printed: Counter[Printed], archived: Iterable[Printed]) -> Comparison:
    """Compare what was printed with what an archive holds."""
    found = Counter(archived)
    return Comparison(
        printed=printed.total(), archived=found.total(), missing=printed - found, surplus=found - printed
    )
