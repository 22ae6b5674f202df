"""The last lines of each replica, for what comes before a failure. In memory alone, as far as it goes."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.entry import Entry


class Recent:
    """Remembers the last lines of the replicas that printed last; one for all partitions of a pipeline.

    It is no part of the pipeline's state: after a restart it is empty, and what `before` shows depends on how
    lines and events came. It never decides what comes out.
    """

    def follow(self, entries: Sequence[Entry]) -> None:
        """Set `before` of failures and of events, in the entries' order, and remember the lines."""
