"""A `Transport` that speaks HTTP/2 where the server agrees to it, else HTTP/1.1."""

from __future__ import annotations

from dataclasses import dataclass

from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.http11 import Http11Transport
from shipper.ignite.transport import NoHttp2, Request, Response


@dataclass(slots=True)
class Agreed:
    """What all connections to one server know: whether it has chosen HTTP/1.1. It is asked again at the next start."""

    older: bool = False


@dataclass(slots=True)
class NegotiatedTransport:
    """Requests to one server over TLS. The first connection shows which version it speaks."""

    newer: Http2Transport
    older: Http11Transport
    agreed: Agreed

    @property
    def limit(self) -> int | None:
        return self.older.limit if self.agreed.older else self.newer.limit

    async def send(self, request: Request, /) -> Response:
        if not self.agreed.older:
            try:
                return await self.newer.send(request)
            except NoHttp2:
                self.agreed.older = True
        return await self.older.send(request)

    async def aclose(self) -> None:
        await self.newer.aclose()
        await self.older.aclose()
