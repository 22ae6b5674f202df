"""The call `tap` on the control socket: records as they pass.

    {"call": "tap", "kinds": ["logs"], "app": "checkout-*", "replica": "", "match": "time ?out"}
    ◀ {"tapping": true} {"kind": "logs", "records": [...]} ... {"left_out": 120} ... {"idle": true} ...

It has no end: whoever asks closes the connection. Looking for what is meant takes a quarter of one core at the most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import orjson

from shipper.control.taps import MOST_TAPS, Tap, Taps, Wanted
from shipper.control.wire import Answer, BadRequest, Call, Request, field
from shipper.expression import BadExpression, Expression
from shipper.model import Kind

IDLE_S: Final = 5.0
"""How often a tap says that it is still there: else nobody would notice that its reader is not."""
SHARE: Final = 0.25
_KNOWN: Final = frozenset({"call", "kinds", "app", "replica", "match"})


def tap_calls(
    taps: Taps, *, idle_s: float = IDLE_S, clock: Callable[[], float] = time.perf_counter
) -> Mapping[str, Call]:
    """By their names on the socket."""

    async def tapping(request: Request) -> AsyncGenerator[Answer, None]:
        wanted = _wanted(request)
        if len(taps) >= MOST_TAPS:
            raise BadRequest(f"{MOST_TAPS} taps are open already: end one of them")
        with taps.open(wanted) as tap:
            yield {"tapping": True}
            while True:
                if not await _something(tap, idle_s):
                    yield {"idle": True}
                if left_out := tap.left_out():
                    yield {"left_out": left_out}
                while (taken := tap.take()) is not None:
                    began = clock()
                    lines = await asyncio.to_thread(wanted.of, taken.ndjson)
                    spent = clock() - began
                    if lines:
                        records = [orjson.Fragment(line) for line in lines]
                        yield {"kind": taken.partition.kind.value, "records": records}
                    await asyncio.sleep(spent * (1 / SHARE - 1))

    return {"tap": tapping}


async def _something(tap: Tap, idle_s: float) -> bool:
    """Wait until something has come; False if that takes too long."""
    try:
        async with asyncio.timeout(idle_s):
            await tap.something.wait()
    except TimeoutError:
        return False
    return True


def _wanted(request: Request) -> Wanted:
    """Raises BadRequest, also for what is not known: it would widen what is meant."""
    if unknown := request.keys() - _KNOWN:
        raise BadRequest(f"unknown in a tap: {', '.join(sorted(unknown))}")
    names: list[Any] = field(request, "kinds", list, [])
    try:
        kinds = frozenset(Kind(name) for name in names) or frozenset(Kind)
    except ValueError as error:
        raise BadRequest(f"no kind of record: {error}") from error
    source = field(request, "match", str, "")
    try:
        match = Expression(source) if source else None
    except BadExpression as error:
        raise BadRequest(f"the expression {error}") from error
    return Wanted(kinds, field(request, "app", str, ""), field(request, "replica", str, ""), match)
