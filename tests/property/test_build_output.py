"""Wherever what a build prints is cut, and whatever happens to its stream and to us: its lines are archived once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.archive.codec import log_bytes
from shipper.ignite.lines import LineCutter
from shipper.model import Kind
from tests.fakes.builds import FakeBuilds
from tests.fakes.collection import Collection, wall_ms
from tests.virtual_time import virtual_time

texts = st.lists(
    st.sampled_from(
        [
            "a",
            "two words",
            "ü",
            "日本",
            "🚀",
            "\n",
            "\n",
            "\r\n",
            "\r",
            "\n\n",
            "\x1b[1m",
            "[=>] 5%\r[==] 9%\r",
        ]
    ).map(str.encode)
    | st.just(b"\xff\xf0\x9f"),
    min_size=1,
    max_size=30,
).map(b"".join)
steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "cut", "end", "kill", "sleep", "stall"]),
        st.integers(1, 20),
    ),
    max_size=12,
)


def lines_of(data: bytes) -> list[bytes]:
    """A line ends with LF or CR LF; the last one may have no end."""
    return [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]


@given(texts, st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_lines_are_the_same_wherever_bytes_are_cut(data: bytes, sizes: list[int]) -> None:
    cutter, found, at, turn = LineCutter(), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += cutter.feed(data[at : at + size], turn).lines
        at, turn = at + size, turn + 1
    assert found + cutter.finish().lines == lines_of(data)


@pytest.mark.parametrize("source", ["compile", "build"])
@settings(max_examples=40, deadline=None)
@given(texts, steps, st.integers(1, 9))
def test_what_was_printed_is_archived_once(
    source: str, data: bytes, script: list[tuple[str, int]], chunk: int
) -> None:
    @virtual_time
    async def body() -> None:
        builds = FakeBuilds(wall_ms)
        it = Collection(builds=builds, logs=False, include=["checkout"])
        it.platform.app("checkout")
        if source == "compile":
            printed = builds.compile("checkout")
        else:
            printed = builds.build("bld_1", running=True)
            builds.list("bld_1", "RUNNING", app_name="checkout")
        printed.chunk = chunk
        it.start()
        left = data
        for step, number in script:
            match step:
                case "write":
                    printed.write(left[:number])
                    left = left[number:]
                case "cut":
                    printed.cut()
                case "end":
                    printed.end_streams()
                case "stall":
                    printed.stall()
                case "sleep":
                    await asyncio.sleep(number)
                case _:
                    await it.restart()
        printed.write(left)
        printed.end()
        if source == "build":
            builds.list("bld_1", app_name="checkout")
            builds.breaks = [number for step, number in script if step == "cut"]
        await asyncio.sleep(600)
        await it.stop()
        assert [log_bytes(record) for record in it.durable.records(Kind.BUILDS)] == lines_of(data)
        assert it.durable.gaps() == []

    body()
