"""What was learned about this platform, where its documentation is silent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SURE_AFTER: Final = 3


@dataclass(slots=True)
class Habits:
    """Whether log streams end with their replica, and which part of a history GetAppLogs gives.

    `pages_end_now` says that an answer which is cut ends with the newest line, None as long as none was. `ended`
    counts streams that ended in good order, `outlived` those that stayed open after their replica was gone. Where
    streams end, one that does not is suspect: it may be dead, and its last lines lost.
    """

    ended: int = 0
    outlived: int = 0
    pages_end_now: bool | None = None

    @property
    def streams_end(self) -> bool:
        return self.ended > 0 or self.outlived <= _SURE_AFTER
