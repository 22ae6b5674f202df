"""A source of tokens that can be exchanged for another one while calls go on."""

from __future__ import annotations

from dataclasses import dataclass

from shipper.ignite.auth import TokenSource
from shipper.ignite.status import CallFailed


@dataclass(slots=True, repr=False)
class ExchangeableTokens:
    """Gives what `source` gives, whichever that is at the moment."""

    source: TokenSource

    async def token(self) -> str | None:
        """Who waits for the source of before gets the token of the one that took its place."""
        while True:
            source = self.source
            try:
                return await source.token()
            except CallFailed:
                if source is self.source:
                    raise

    def refuse(self, token: str) -> None:
        """See the port. A token of the source of before means nothing to the present one."""
        self.source.refuse(token)

    def exchange(self, source: TokenSource) -> TokenSource:
        """From now on tokens are `source`'s. The one before is returned, for the caller to close."""
        before, self.source = self.source, source
        return before

    async def aclose(self) -> None:
        """See the port."""
        await self.source.aclose()
