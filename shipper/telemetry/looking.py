"""What /api/status and the page answer: facts are gathered on the event loop, and become text in a thread.

What makes the text is loaded with the first request: a daemon at which nobody looks need not keep it.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import orjson

if TYPE_CHECKING:
    from shipper.telemetry.facts import Facts, Query

FRESH_S: Final = 0.5
"""Who asks for the same again within this time gets the facts of before: gathering takes the loop's time."""
ROWS: Final = 50
"""Replicas on a page, unless more are asked for."""
_LONGEST: Final = 200
_KNOWN: Final = frozenset({"app", "replica", "offset", "limit", "only"})

P = ParamSpec("P")
T = TypeVar("T")

Look = Callable[["Query"], "Facts"]
"""Gathers the facts; must be called on the event loop, and takes a few milliseconds with thousands of replicas."""


class BadQuery(Exception):
    """A query that cannot be answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent."""

    data: bytes
    content_type: str
    policy: str = ""


class Looking:
    """Answers from what `look` gathers. `hide` takes out of a text what must not be shown: secrets that a server
    repeated in an answer. Without a `look`, the daemon is still starting.
    """

    def __init__(self, starting: Callable[[], Mapping[str, str]]) -> None:
        self.look: Look | None = None
        self.hide: Callable[[str], str] = str
        self._starting = starting
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="status")
        self._last: tuple[float, Facts] | None = None

    def close(self) -> None:
        """Answer nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        """Whether there is something to look at."""
        return self.look is not None

    async def status(self, parameters: Mapping[str, str], *, zipped: bool) -> Body:
        """The answer of /api/status, once it is ready. Raises BadQuery."""
        if unknown := parameters.keys() - _KNOWN:
            raise BadQuery(
                f"unknown: {', '.join(sorted(unknown))[:_LONGEST]}; known are {', '.join(sorted(_KNOWN))}"
            )
        only = tuple(filter(None, parameters.get("only", "").split(",")))
        facts = await self._facts(parameters, rows=None)
        return await self._in_thread(_status_body, facts, only, self.hide, zipped)

    async def page(self, parameters: Mapping[str, str], *, zipped: bool) -> Body:
        """The status page. Raises BadQuery."""
        if self.look is None:
            return await self._in_thread(_starting_body, dict(self._starting()), zipped)
        facts = await self._facts(parameters, rows=ROWS)
        return await self._in_thread(_page_body, facts, self.hide, zipped)

    async def _facts(self, parameters: Mapping[str, str], *, rows: int | None) -> Facts:
        query = await self._in_thread(_query, parameters, rows)
        now = asyncio.get_running_loop().time()
        if self._last is not None and now - self._last[0] < FRESH_S and self._last[1].query == query:
            return self._last[1]
        assert self.look is not None
        facts = self.look(query)
        self._last = (now, facts)
        return facts

    async def _in_thread(self, call: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


def _query(parameters: Mapping[str, str], rows: int | None) -> Query:
    from shipper.telemetry.facts import MOST, USUAL_LIMIT, Query

    def name(key: str) -> str:
        value = parameters.get(key, "").strip()
        if len(value) > _LONGEST:
            raise BadQuery(f"{key} is longer than {_LONGEST} characters")
        return value

    def number(key: str, usual: int, most: int) -> int:
        value = parameters.get(key, "").strip()
        if not value:
            return usual
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= most):
            raise BadQuery(f"{key} is no number from 0 to {most}")
        return int(value)

    return Query(
        name("app"),
        name("replica"),
        number("offset", 0, 999_999_999),
        max(1, number("limit", rows or USUAL_LIMIT, MOST)),
    )


def _status_body(facts: Facts, only: Sequence[str], hide: Callable[[str], str], zipped: bool) -> Body:
    from shipper.telemetry.status import status

    text = orjson.dumps(_hidden(status(facts, only), hide)).decode()
    return _body(text, "application/json", zipped)


def _page_body(facts: Facts, hide: Callable[[str], str], zipped: bool) -> Body:
    from shipper.telemetry.page.document import document, policy
    from shipper.telemetry.status import status

    # Hidden before it is escaped: in HTML a secret may look different.
    return _body(document(_hidden(status(facts), hide), facts.query), "text/html", zipped, policy())


def _starting_body(reasons: Mapping[str, str], zipped: bool) -> Body:
    from shipper.telemetry.page.document import policy, starting

    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _body(starting(reasons, at), "text/html", zipped, policy())


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """The same with `hide` applied to every text in it; keys stay."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {key: _hidden(inner, hide) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(inner, hide) for inner in value]
    return value


def _body(text: str, content_type: str, zipped: bool, policy: str = "") -> Body:
    data = text.encode("utf-8", "replace")
    return Body(gzip.compress(data, compresslevel=1) if zipped else data, content_type, policy)
