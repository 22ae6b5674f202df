"""A stream read for as long as it has something to say at once: for its history, without what is still to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeVar

T = TypeVar("T")

QUIET_S: Final = 1.5  # between two pieces of a history there is far less


async def until_quiet(stream: AsyncIterator[T], quiet_s: float = QUIET_S) -> AsyncGenerator[T, None]:
    """What comes without a pause."""
    while True:
        try:
            async with asyncio.timeout(quiet_s) as scope:
                item = await anext(stream, None)
        except TimeoutError:
            if not scope.expired():
                raise
            return
        if item is None:
            return
        yield item
