"""The calls for dead letters: list, show, replay and drop, over whatever keeps the letters."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Final, Protocol

from shipper.buffer import LetterFilter, LetterTotals
from shipper.control.wire import Answer, BadRequest, Call, Request, field, filter_from_wire, letter_to_wire
from shipper.model import DeadLetter

_PAGE: Final = 100
_MOST: Final = 100_000
"""Letters that one call with a limit replays or drops."""


class Letters(Protocol):
    """The dead letters of a buffer. Coroutines may raise BufferError."""

    async def page(
        self, wanted: LetterFilter, *, limit: int = 100, newest_first: bool = True, after: int | None = None
    ) -> Sequence[DeadLetter]:
        """Letters after the one with the number `after`; an empty page is the end."""

    async def count(self, wanted: LetterFilter) -> LetterTotals:
        """How many are meant."""

    async def drop(self, wanted: LetterFilter) -> int:
        """Forget them; how many."""

    async def replay(self, wanted: LetterFilter) -> int:
        """Send them again; how many."""


def letter_calls(letters: Letters) -> Mapping[str, Call]:
    """By their names on the socket."""

    async def listing(request: Request) -> AsyncGenerator[Answer, None]:
        wanted = _wanted(request)
        limit, cut = field(request, "limit", int, 0), field(request, "cut", int, 0) or None
        async for letter in _each(letters, wanted, limit, newest_first=True):
            yield {"letter": letter_to_wire(letter, cut)}
        yield {"end": {"meant": (await letters.count(wanted)).letters}}

    async def replaying(request: Request) -> AsyncGenerator[Answer, None]:
        wanted, meant = await _limited(letters, request)
        done = 0 if field(request, "dry_run", bool, False) else await letters.replay(wanted)
        yield {"end": {"meant": meant, "done": done}}

    async def dropping(request: Request) -> AsyncGenerator[Answer, None]:
        wanted, meant = await _limited(letters, request)
        done = 0 if field(request, "dry_run", bool, False) else await letters.drop(wanted)
        yield {"end": {"meant": meant, "done": done}}

    return {"deadletter.list": listing, "deadletter.replay": replaying, "deadletter.drop": dropping}


def _wanted(request: Request) -> LetterFilter:
    given: dict[str, Any] = field(request, "filter", dict, {})
    return filter_from_wire(given)


async def _limited(letters: Letters, request: Request) -> tuple[LetterFilter, int]:
    """Which letters are meant, the oldest ones where there is a limit, and how many they are."""
    wanted, limit = _wanted(request), field(request, "limit", int, 0)
    if not limit:
        return wanted, (await letters.count(wanted)).letters
    if limit > _MOST:
        raise BadRequest(f"a limit is {_MOST} at most")
    found = [one.letter_id async for one in _each(letters, wanted, limit, newest_first=False)]
    return LetterFilter(ids=frozenset(found)), len(found)


async def _each(
    letters: Letters, wanted: LetterFilter, limit: int, *, newest_first: bool
) -> AsyncIterator[DeadLetter]:
    """Letters, page by page; a limit of 0 is none."""
    shown, after = 0, None
    while not limit or shown < limit:
        size = min(_PAGE, limit - shown) if limit else _PAGE
        page = await letters.page(wanted, limit=size, newest_first=newest_first, after=after)
        if not page:
            return
        for letter in page:
            yield letter
        shown, after = shown + len(page), page[-1].letter_id
