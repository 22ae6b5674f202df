"""The S3 server of a run behind a proxy that misbehaves; the daemon can be killed between two steps of an upload."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.servers.fault_proxy import Fault, FaultProxy, Recorded
from tests.servers.s3 import Store, find_versitygw, moto, versitygw

BUCKET: Final = "acme-logs"

Step = Callable[[], Awaitable[None]]


class SteppedProxy(FaultProxy):
    """`on_read`, `on_stored` and `on_answered` are called once each, when the next upload gets there."""

    on_read: Step | None = None
    on_stored: Step | None = None
    on_answered: Step | None = None

    async def _forwarded(
        self, fault: Fault, request: Recorded, head: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if request.method != "PUT":
            await super()._forwarded(fault, request, head, writer)
            return
        step, self.on_read = self.on_read, None
        if step is not None:
            await step()
            return
        if self.on_stored is not None:
            step, self.on_stored = self.on_stored, None
            await self._forward(head, request.body)
            await step()
            return
        await super()._forwarded(fault, request, head, writer)
        step, self.on_answered = self.on_answered, None
        if step is not None:
            await step()


@contextmanager
def store(kind: str, folder: Path) -> Iterator[Store]:
    """moto, or versitygw where it is installed, with an empty bucket."""
    program = find_versitygw() if kind == "versitygw" else None
    with versitygw(program, folder) if program else moto(folder) as made:
        made.make_bucket(BUCKET)
        yield made
