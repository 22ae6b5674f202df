"""What was learned about this platform, where its documentation is silent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SURE_AFTER: Final = 3


@dataclass(slots=True)
class Habits:
    """Whether log streams end with their replica.

    `ended` counts streams that ended in good order, `outlived` those that stayed open after their replica was
    gone. Where streams end, one that does not is suspect: it may be dead, and its last lines lost.
    """

    ended: int = 0
    outlived: int = 0

    @property
    def streams_end(self) -> bool:
        return self.ended > 0 or self.outlived <= _SURE_AFTER
