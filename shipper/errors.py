"""Every error that shipper raises on purpose.

    ShipperError
    ├── ConfigError            the configuration cannot be used; carries all problems at once
    ├── BufferError
    │   ├── BufferLocked       another process holds the buffer
    │   ├── BufferFull         a commit does not fit in `max_size`
    │   └── BufferUnavailable  the disk refuses: full, read-only, I/O error
    ├── ArchiveDamaged         bytes of the archive are not what they claim to be
    └── PlatformError          what Ignite (or something on the way to it) answered
        └── ImplausibleAnswer  the bundled .proto does not fit this server

Expected outcomes are values (see `sinks.port.Outcome`), not errors. Messages say what happened, to what, and what the
daemon does next; a secret never reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """Whether the daemon can start in spite of it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one place of a configuration file.

    `line` and `column` count from 1; line 0 means the file as a whole. `path` is the setting (`sinks.archive.bucket`),
    empty where none can be named. `excerpt` is the source line, empty where it could show a secret.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: Severity = Severity.ERROR
    excerpt: str = field(default="", compare=False)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        setting = f"{self.path}: " if self.path else ""
        warning = "warning: " if self.severity is Severity.WARNING else ""
        return f"{place}: {setting}{warning}{self.message}"


class ShipperError(Exception):
    """Root of the tree."""


class ConfigError(ShipperError):
    """The configuration cannot be used. `problems` are all of them, warnings too, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class BufferError(ShipperError):
    """The durable buffer could not do what was asked."""


class BufferLocked(BufferError):
    """Another process holds the buffer; the message names it."""


class BufferFull(BufferError):
    """A commit does not fit within `max_size`. Nothing was written; try again when a sink has acknowledged."""


class BufferUnavailable(BufferError):
    """The disk refuses (full, read-only, I/O error). Nothing was written; try again."""


class ArchiveDamaged(ShipperError):
    """Bytes of the archive are not what they claim to be: cut, altered, not of the codec, not JSON, too large."""


class PlatformError(ShipperError):
    """Ignite answered something that cannot be used."""


class ImplausibleAnswer(PlatformError):
    """Decoded values make no sense: the descriptors in use are not the server's."""
