"""Whatever bytes come, the gateway's reader ends, keeps no more than its bound, and raises nothing but CallFailed."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.ignite.gateway.envelope import unwrap_all
from shipper.ignite.gateway.refusal import refusal
from shipper.ignite.gateway.scanner import MAX_DEPTH
from shipper.ignite.gateway.values import ValueReader
from shipper.ignite.status import Status
from tests.fuzz.gateway import TOKENS, by_reader, rounds

pieces = st.lists(st.sampled_from([1, 3, 50, 10_000]), min_size=1, max_size=3)
bodies = st.binary(max_size=200) | st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join)


@settings(max_examples=300)
@given(bodies, pieces)
@example(b"[" * 5_000, [1_000])
@example(b'{"a":' * 5_000, [1_000])
@example(b'{"error":{"message":' + b"[" * 900 + b"]" * 900 + b"}}\n", [10_000])
@example(b"data: \n" * 5_000, [50])
@example(b'{"code":-5,"message":"x"}\n', [1])
def test_bytes_of_every_kind_are_read_within_the_bound(body: bytes, sizes: list[int]) -> None:
    by_reader(body, sizes)


@settings(max_examples=150)
@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["retry-after", "location", "date", "grpc-status", "grpc-message", "content-type"]), st.text(max_size=20), max_size=4), bodies)  # fmt: skip  # noqa: E501
def test_a_refusal_of_every_kind_is_one_readable_line(
    http: int, headers: dict[str, str], body: bytes
) -> None:
    status = refusal(http, headers, body)
    assert isinstance(status, Status)
    assert status.message.startswith(f"HTTP {http}")
    assert status.message.isprintable()
    assert len(status.message) < 1_000


async def test_streams_that_are_broken_in_every_way_end_or_fail_as_they_may() -> None:
    seen = await rounds(seed=1, count=400)
    assert seen["lines"] > 100
    assert seen["bad"] > 10
    assert seen["OK"] > 10


MANY = 400_000
HEAVY = {
    "a long text in small reads": (b'{"line":"' + b"x" * MANY + b'"}\n', 700, 1),
    "a long text byte by byte": (b'{"line":"' + b"x" * (MANY // 8) + b'"}\n', 1, 1),
    "escapes": (b'{"line":"' + b"\\n" * MANY + b'"}\n', 700, 1),
    "tiny objects": (b'{"a":1}' * (MANY // 4), 65_536, MANY // 4),
    "tiny lines": (b'{"a":1}\n' * (MANY // 4), 65_536, MANY // 4),
    "tiny elements": (b"[" + b'{"a":1} , ' * (MANY // 10), 65_536, MANY // 10),
    "tiny events": (b"data: {}\n\n" * (MANY // 8), 65_536, MANY // 8),
    "blank lines": (b"\n" * MANY, 1_000, 0),
    "comments": (b": ping\n\n" * (MANY // 8), 1_000, 0),
    "an object that is pretty": (b'{"a":[\n' + b"1,\n" * (MANY // 4) + b"1]}", 700, 1),
    "brackets": (b"[" * MANY, 65_536, 0),
    "quotes": (b'"' * MANY, 65_536, 0),
    "lines that were cut": (b'{"a":1}\n' + b'{"a":"x\n' * (MANY // 10), 65_536, 1),
    "an event of many lines": (b"data: [\n" + b"data: 1,\n" * (MANY // 20) + b"data: 1]\n\n", 700, 0),
    "spaces before anything": (b" " * (MANY // 8) + b'{"a":1}\n', 1, 1),
}


@pytest.mark.parametrize("name", HEAVY)
def test_time_is_linear_in_the_bytes(name: str) -> None:
    body, size, count = HEAVY[name]

    def cost(body: bytes) -> float:
        reader = ValueReader()
        began = time.process_time()
        found = 0
        for at in range(0, len(body), size):
            found += len(unwrap_all(reader.feed(body[at : at + size]).items).messages)
        seconds = time.process_time() - began
        assert found == count or len(body) < len(HEAVY[name][0])
        return seconds

    whole = min(cost(body) for _ in range(2))
    assert whole < 0.2 + 12 * cost(body[: len(body) // 4]), (
        "four times the bytes took far more than four times as long"
    )
    assert whole < 3e-6 * len(body) + 0.2


def test_what_is_too_large_or_too_deep_is_counted_and_what_follows_is_read() -> None:
    reader = ValueReader(limit=1_000)
    after = b'{"line":"after"}'
    for bad in (b'{"a":"' + b"x" * 2_000 + b'"}', b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)):
        found = [reader.feed((bad + after)[at : at + 100]) for at in range(0, len(bad + after), 100)]
        assert [item for values in found for item in values.items] == [{"line": "after"}]
        assert sum(values.bad for values in found) == 1


def test_an_object_that_never_ends_is_given_up() -> None:
    reader = ValueReader(limit=1_000)
    for _ in range(300):
        reader.feed(b'{"a":1,\n{"b":2}\n')
    assert "does not end" in reader.broken


def test_memory_for_a_value_that_is_too_large_is_bounded() -> None:
    reader = ValueReader(limit=100_000)
    tracemalloc.start()
    try:
        reader.feed(b'{"line":"')
        piece = b"x" * 10_000
        for _ in range(30):
            reader.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000
