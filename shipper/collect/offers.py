"""Which calls the platform does not offer, or not to us: said once each, asked for again each hour, shown to people.

A call that is refused turns off what it is for and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shipper.ignite.status import Action, Status
from shipper.model import App

log = logging.getLogger("shipper.collect")

AGAIN_S: Final = 3600.0
CLAIM_S: Final = 30.0  # for one of many to find out
BELIEVED: Final = 2  # denials in a row that no server of the platform has signed
REFUSED: Final = (Action.PARK, Action.STOP)


@dataclass(slots=True)
class Offers:
    """By call, and by app where the call is of one (else None): how it was refused last."""

    rng: random.Random = field(default_factory=random.Random)
    _refused: dict[str, dict[App | None, Status]] = field(default_factory=dict)
    _until: dict[tuple[str, App | None], float] = field(default_factory=dict)

    @property
    def refused(self) -> Mapping[str, Mapping[App | None, Status]]:
        """What is refused now; calls of which nothing is are not there."""
        return self._refused

    def refuse(self, call: str, app: App | None, status: Status, without: str) -> float:
        """A call was refused; seconds until the next attempt. `without` says what is missing now."""
        before = self._refused.setdefault(call, {})
        if not before:
            said = log.warning if status.action is Action.STOP else log.error
            said(
                "%s is %s, asked for again each hour; until then %s: %s",
                call,
                "not offered" if status.action is Action.STOP else "refused",
                without,
                status,
                extra={} if app is None else {"app": str(app)},
            )
        before[app] = status
        wait = AGAIN_S * self.rng.uniform(0.9, 1.1)
        self._until[call, app] = asyncio.get_running_loop().time() + wait
        return wait

    def off_for(self, call: str, app: App | None) -> float:
        """Seconds for which a call is not to be asked for, 0 where it may be."""
        until = self._until.get((call, app))
        return 0.0 if until is None else max(0.0, until - asyncio.get_running_loop().time())

    def claim(self, call: str, app: App | None) -> float:
        """As `off_for`, but of many who would ask again after an hour the first one does: to the others the call stays
        off for as long as that may take.
        """
        off_s = self.off_for(call, app)
        if not off_s and (call, app) in self._until:
            self._until[call, app] = asyncio.get_running_loop().time() + CLAIM_S
        return off_s

    def grant(self, call: str, app: App | None) -> None:
        """A call was answered."""
        self._until.pop((call, app), None)
        refused = self._refused.get(call)
        if refused is not None and refused.pop(app, None) is not None and not refused:
            del self._refused[call]
            log.info("%s works again", call)


@dataclass(slots=True)
class Denials:
    """Whether the platform lacks a call, or only what was asked for. Without a word of a server of the platform a 404
    may mean either; then it is asked once more, after a look at what there is.
    """

    _in_a_row: int = 0

    def believe(self, status: Status) -> bool:
        """Whether a denial (`Action.STOP`) means that the call is not offered."""
        self._in_a_row += 1
        return status.genuine or self._in_a_row >= BELIEVED

    def answered(self) -> None:
        """The call was answered."""
        self._in_a_row = 0
