"""How many issues an app may make in an hour: a crash loop must not eat a month's quota.

The hour is the records' own, so that a backlog from an outage is treated like the hours in which it was made. Of an
app's share one issue takes at most half, so that one failure that repeats does not hide the others. What was admitted
stays admitted when a batch is packed again. Nothing is written down: a restart begins anew.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Final

from shipper.model import App

_LOG: Final = logging.getLogger("shipper.sinks")
_MOST_SHARES: Final = 1024  # app-hours that are remembered
_MOST_DELIVERED: Final = 10_000  # event ids


@dataclass(slots=True)
class _Share:
    admitted: set[str] = field(default_factory=set)
    by_issue: Counter[tuple[str, ...]] = field(default_factory=Counter)
    told: bool = False


class Guard:
    """Decides, event by event. All on one event loop."""

    def __init__(self, sink: str, per_hour: int) -> None:
        self._sink = sink
        self._per_hour = per_hour
        self._per_issue = max(1, (per_hour + 1) // 2)
        self._shares: OrderedDict[tuple[App, int], _Share] = OrderedDict()
        self._delivered: OrderedDict[str, None] = OrderedDict()

    def admits(self, app: App, hour: int, issue: tuple[str, ...], event_id: str) -> bool:
        """Whether this event may be sent. The same event always gets the same answer while its hour is remembered."""
        share = self._share(app, hour)
        if event_id in share.admitted:
            return True
        if len(share.admitted) >= self._per_hour or share.by_issue[issue] >= self._per_issue:
            self._tell(app, share)
            return False
        share.admitted.add(event_id)
        share.by_issue[issue] += 1
        return True

    def delivered(self, event_id: str) -> None:
        """Sentry has the event."""
        self._delivered[event_id] = None
        if len(self._delivered) > _MOST_DELIVERED:
            self._delivered.popitem(last=False)

    def has_delivered(self, event_id: str) -> bool:
        """Whether Sentry has it already, as far as this process remembers: it need not be sent again.

        Sentry drops an event that it has seen within the hour, but counts a later one again.
        """
        return event_id in self._delivered

    def _share(self, app: App, hour: int) -> _Share:
        key = (app, hour)
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = _Share()
            if len(self._shares) > _MOST_SHARES:
                self._shares.popitem(last=False)
        else:
            self._shares.move_to_end(key)
        return share

    def _tell(self, app: App, share: _Share) -> None:
        if not share.told:
            share.told = True
            _LOG.warning(
                "the app fails more often than issues_per_hour allows (%d); what exceeds it is counted, not sent",
                self._per_hour,
                extra={"app": str(app), "sink": self._sink},
            )
