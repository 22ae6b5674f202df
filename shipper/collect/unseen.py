"""Replicas that events name and no listing has shown yet. Pure.

Most are listed a moment later. One that never is lived and went between two listings: its lines are lost, and
that is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

UNSEEN_AFTER_S: Final = 120.0  # that long a replica may take to be listed: images are pulled first


@dataclass(slots=True)
class Unseen:
    """By replica_id: when it was first named (the loop's clock), and the time of that event (Unix ms)."""

    _named: dict[str, tuple[float, int]] = field(default_factory=dict)

    def name(self, replica_id: str, timestamp_ms: int, now_s: float) -> None:
        """An event names a replica that is not listed."""
        self._named.setdefault(replica_id, (now_s, timestamp_ms))

    def since(self, replica_id: str, otherwise: int) -> int:
        """When a replica was first named, Unix ms; `otherwise` if that is earlier, or it never was."""
        return min(otherwise, self._named.get(replica_id, (0.0, otherwise))[1])

    def listed(self, replica_ids: Iterable[str]) -> None:
        """These were only late."""
        if self._named:
            for replica_id in replica_ids:
                self._named.pop(replica_id, None)

    def overdue(self, now_s: float) -> list[tuple[str, int]]:
        """Replicas that will not be listed any more, with the time of the event; each is said once."""
        found = [
            (replica_id, timestamp_ms)
            for replica_id, (named_at, timestamp_ms) in self._named.items()
            if now_s - named_at >= UNSEEN_AFTER_S
        ]
        for replica_id, _ in found:
            del self._named[replica_id]
        return found


def is_owner(name: str, replica_ids: Iterable[str]) -> bool:
    """Whether a name is of what replicas are made from: a ReplicaSet is named as its pods begin."""
    start = f"{name}-"
    return any(replica_id.startswith(start) for replica_id in replica_ids)
