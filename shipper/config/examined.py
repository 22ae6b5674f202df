"""What examining a configuration file has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.config.contents import Look
from shipper.errors import Problem

if TYPE_CHECKING:
    from shipper.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Examined:
    """What a configuration file comes to: the settings, None where an error stands in the way, every problem in the
    order of the file, the files that its references name, and what all files that matter held before they were read.
    """

    settings: Settings | None
    problems: Sequence[Problem]
    files: frozenset[Path] = frozenset()
    contents: Look = field(default_factory=dict)
