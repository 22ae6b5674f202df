"""What becomes of what a sink has not taken, when it leaves the configuration of a running daemon."""

from __future__ import annotations

from typing import Final, Literal

OnRemove = Literal["drain", "discard"]

ON_REMOVE: Final = (
    "What becomes of the records that this sink has not taken yet when a reload finds it removed: `drain` delivers "
    "them with these settings, however long that takes while the daemon runs; `discard` gives them up, counted and "
    "recorded as a gap. Default `drain`. After a restart these settings are gone: what remains then is given up."
)
