"""All pages of a listing, whatever the server's cursors do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from shipper.ignite.status import CallFailed, Code, Status

T = TypeVar("T")

MOST_PAGES: Final = 1_000  # a server whose cursor never ends must not keep us asking
MOST_ROWS: Final = 100_000  # of all pages: a hostile server must not fill the memory
LONGEST_CURSOR: Final = 64 * 1024


async def all_pages(method: str, ask: Callable[[str], Awaitable[tuple[list[T], str]]]) -> list[T]:
    """The rows of all pages; `ask` gives those of the page at a cursor, and the cursor of the next (empty: no more)."""
    rows: list[T] = []
    cursors = [""]
    while len(cursors) <= MOST_PAGES:
        page, cursor = await ask(cursors[-1])
        rows += page
        if len(rows) > MOST_ROWS or len(cursor) > LONGEST_CURSOR:
            break
        if not cursor:
            return rows
        cursors.append(cursor)
        if cursor in cursors[:-1]:
            break
    raise CallFailed(Status(Code.INTERNAL, f"{method} does not end: {len(cursors)} pages were read"))
