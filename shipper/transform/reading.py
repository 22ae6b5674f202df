"""What a line says about itself: its level, the fields of a JSON object, the ids of execution, trace and span."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.config.reading import ReadSettings
from shipper.entry import Entry


class Reader:
    """Reads lines as `read` in the configuration asks; without that section nothing is read.

    A line's level comes from the line alone, never from its stream. What cannot be read is left as it was: a hostile
    line costs a bounded time and nothing else.
    """

    @classmethod
    def of(cls, read: Sequence[ReadSettings]) -> Reader:
        """A reader by the settings; for each app the first that matches counts."""
        return cls()

    def read(self, app: str, entry: Entry) -> None:
        """Fill `level`, `fields`, `execution_id`, `trace_id`, `span_id` of a log entry, and `failure` where one of
        its JSON fields has a stack trace. What the entry already has is kept where nothing is found.
        """
