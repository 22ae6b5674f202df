"""Which contract is in force with a server: asked for once, guessed where the server does not say."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Final

from shipper.ignite import reflection, wanted
from shipper.ignite.contract import Contract, Source, bundled, derive
from shipper.ignite.reflection import Exchange
from shipper.ignite.status import CallFailed, Code, Status

log = logging.getLogger("shipper.ignite")

_MISREAD: Final = frozenset({Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.INTERNAL, Code.UNKNOWN})


@dataclass(slots=True)
class Agreement:
    """The contract of one service with one server. `exchange` asks it.

    Where the server describes nothing of the service, the bundled .proto is taken, unless `guesses` is False: then that
    is UNIMPLEMENTED. A guess is provisional until a call succeeds with it: what refused the reflection may have been a
    proxy before its server was up.
    """

    base_url: str
    exchange: Exchange
    service: str = wanted.SERVICE
    guesses: bool = True
    _contract: Contract | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _failures: int = 0
    _failure: Status | None = None
    _proven: bool = False
    _warned: bool = False

    @property
    def guessing(self) -> bool:
        """Whether the numbers in force are only guessed."""
        return self._contract is not None and self._contract.source is Source.BUNDLED

    @property
    def known(self) -> Contract | None:
        """The contract in force, where there is one yet."""
        return self._contract

    async def contract(self) -> Contract:
        """The contract. Raises CallFailed where the server cannot be asked now (all who wait for one attempt share
        its failure), ContractMismatch where its descriptors cannot be used.
        """
        failures = self._failures
        async with self._asking:
            if self._contract is None:
                if self._failure is not None and self._failures != failures:
                    raise CallFailed(self._failure)
                self._contract = await self._ask()
            return self._contract

    def succeeded(self) -> None:
        """A call was understood by both sides."""
        self._proven = True

    def failed(self, status: Status) -> Status:
        """A call failed so; the status as the caller should see it."""
        if self._proven or not self.guessing:
            return status
        if status.code is Code.UNIMPLEMENTED:
            self._contract = None
        if status.code not in _MISREAD:
            return status
        return replace(
            status,
            message=f"{status.message} (the server offers no reflection, so field numbers are guessed, and it may "
            "have misread the request)",
        )

    async def _ask(self) -> Contract:
        try:
            files = await reflection.fetch(self.exchange, self.service)
        except CallFailed as failure:
            self._failures += 1
            self._failure = failure.status
            raise
        if files is None and not self.guesses:
            raise CallFailed(Status(Code.UNIMPLEMENTED, f"the server has no service {self.service}"))
        if files is None:
            self._warn()
            return bundled(self.service)
        contract = derive(files, Source.REFLECTION, self.service)
        if contract.unfit:
            log.warning(
                "the server declares fields in a way that is not understood; they are left out: %s",
                ", ".join(contract.unfit),
            )
        return contract

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "%s offers no gRPC reflection of %s: field numbers come from the bundled .proto, and the first "
                "messages are checked for plausibility",
                self.base_url,
                self.service,
            )
