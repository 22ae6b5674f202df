"""The page of the table."""

from __future__ import annotations

from tests.chaos.outcome import Outcome


def page(outcomes: list[Outcome]) -> str:
    return ""
