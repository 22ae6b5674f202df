"""How the lines of a stack trace become one record again, for the sinks that show records to people."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shipper.config.section import Section
from shipper.config.types import CountIn, DurationIn


class JoinSettings(Section):
    """Stack traces of Python, Java, Go, Node, Rust and .NET as one record each."""

    enabled: bool = Field(
        default=True,
        description="Join the lines of a stack trace into one record. Default true.",
    )
    max_lines: Annotated[int, CountIn(2, 10_000)] = Field(
        default=1_000,
        description=(
            "Most lines in one record; what a longer trace has beyond them comes as further records. Default "
            "`1000`: Java prints up to 1,024 calls of an endless recursion."
        ),
    )
    max_wait: Annotated[float, DurationIn("10ms", "60s")] = Field(
        default=2.0,
        description=(
            "Longest time between two lines of a trace, by the lines' own times; a trace is held back that "
            "long before it is sent. Default `2s`: a trace is printed within milliseconds, but its process may "
            "be short of CPU."
        ),
    )
