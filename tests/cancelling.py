"""Cancels a run at each of its awaits: which there are in a room, which were waited at, and a run cut at any of them.

A run takes place in virtual time, so it takes nearly the same course each time (what asyncio keeps in sets has an order
of its own). A way to wait is the chain of awaits from a task's outermost call in. What waits is cancelled there and
then, and so is the run as a whole: each await gets its cancellation before anything else of the run does.
"""

from __future__ import annotations

import ast
import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.virtual_time import VirtualLoop

_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, order=True)
class Site:
    """One `await`, `async for` or `async with` in the source."""

    file: str
    line: int
    column: int
    text: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


Way = tuple[Site, ...]


@cache
def sites_in(room: str) -> frozenset[Site]:
    """Every site of a room's modules."""
    return frozenset(site for path in sorted((_ROOT / room).rglob("*.py")) for site in _sites(path))


def _sites(path: Path) -> Iterator[Site]:
    source = path.read_text()
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            name = str(path.relative_to(_ROOT))
            yield Site(name, node.lineno, node.col_offset, lines[node.lineno - 1].strip())


@cache
def _by_place(file: str) -> dict[tuple[int, int], Site]:
    return {(site.line, site.column): site for site in _sites(Path(file))}


@cache
def _site(code: CodeType, at: int) -> Site | None:
    """Where a frame waits; None outside the project's source."""
    path = Path(code.co_filename)
    if not path.is_relative_to(_ROOT / "shipper"):
        return None
    line, _, column, _ = list(code.co_positions())[at // 2]
    known = _by_place(code.co_filename)
    if (line, column) in known:
        return known[line or 0, column or 0]
    same_line = [site for place, site in known.items() if place[0] == line]
    return same_line[0] if len(same_line) == 1 else None


def _frames(waiting: Any) -> Iterator[FrameType]:
    """The frames of a coroutine that waits, from the outermost in."""
    seen: set[int] = set()
    while waiting is not None and id(waiting) not in seen and not asyncio.isfuture(waiting):
        seen.add(id(waiting))
        frame = next((found for name in _FRAMES if (found := getattr(waiting, name, None)) is not None), None)
        if frame is not None:
            yield frame
            waiting = next((getattr(waiting, name) for name in _INNER if hasattr(waiting, name)), None)
        else:  # what stands between, as an async generator's `asend`, shows in no attribute what it waits for
            inner = [each for each in gc.get_referents(waiting) if _waits(each)]
            waiting = inner[0] if inner else None


_FRAMES: Final = ("cr_frame", "ag_frame", "gi_frame")
_INNER: Final = ("cr_await", "ag_await", "gi_yieldfrom")
_BETWEEN: Final = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")


def _waits(thing: object) -> bool:
    return any(hasattr(thing, name) for name in _FRAMES) or type(thing).__name__ in _BETWEEN


class _Watched(Coroutine[Any, Any, Any]):
    """A task's coroutine that tells when it waits."""

    def __init__(self, inner: Coroutine[Any, Any, Any], tell: Callable[[Any], None]) -> None:
        self._inner = inner
        self._tell = tell
        self.__name__ = getattr(inner, "__name__", "coroutine")
        self.__qualname__ = getattr(inner, "__qualname__", "coroutine")

    def send(self, value: Any) -> Any:
        found = self._inner.send(value)
        self._tell(self._inner)
        return found

    def throw(self, *error: Any) -> Any:
        found = self._inner.throw(*error)
        self._tell(self._inner)
        return found

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


class _Loop(VirtualLoop):
    """What is done in a thread is done at once, but its end is heard of a turn later."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        done = super().run_in_executor(executor, func, *args)
        heard: asyncio.Future[Any] = self.create_future()
        self.call_soon(_pass_on, done, heard)
        return heard


def _pass_on(done: asyncio.Future[Any], heard: asyncio.Future[Any]) -> None:
    error = done.exception()
    if heard.cancelled():
        return
    if error is None:
        heard.set_result(done.result())
    else:
        heard.set_exception(error)


@dataclass
class Watch:
    """Knows the ways in which tasks wait in a room. When one first waits in the first way of `cuts`, it and `root` are
    cancelled; when one then waits in the second, once more. `hits` were. `later` are the ways seen after the last.
    """

    room: str
    cuts: tuple[Way, ...] = ()
    times: int = 0
    ways: dict[Way, None] = field(default_factory=dict)  # in the order in which they were first seen
    later: dict[Way, None] = field(default_factory=dict)
    hits: int = 0
    root: asyncio.Task[None] | None = None

    def tell(self, inner: Any) -> None:
        way = tuple(
            site
            for frame in _frames(inner)
            if (site := _site(frame.f_code, frame.f_lasti)) is not None and site.file.startswith(self.room)
        )
        if not way:
            return
        self.times += 1
        (self.later if self.cuts and self.hit else self.ways).setdefault(way)
        if not self.hit and way == self.cuts[self.hits]:
            self.hits += 1
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if self.root is not None and self.root is not task:
                self.root.cancel()

    @property
    def hit(self) -> bool:
        """Whether it was cut as often as it should be."""
        return self.hits == len(self.cuts)

    def factory(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **given: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Watched(coroutine, self.tell), loop=loop, **given)


def watched(watch: Watch, run: Callable[[Watch], Awaitable[None]]) -> None:
    """The run in virtual time, with every task watched. No task may be left at its end."""
    loop = _Loop()
    try:
        loop.set_task_factory(watch.factory)  # type: ignore[arg-type]
        loop.run_until_complete(run(watch))
        left = asyncio.all_tasks(loop)
        assert not left, f"tasks were left behind: {left}"
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def cut_life(watch: Watch, life: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """A life as a task that the watch may cancel; whether it did."""
    before = asyncio.all_tasks()
    watch.root = asyncio.get_running_loop().create_task(life(), name="life")
    await asyncio.wait({watch.root})
    cut = watch.root.cancelled()
    if not cut:
        watch.root.result()
    left = asyncio.all_tasks() - before
    assert not left, f"tasks outlived their run: {left}"
    return cut
