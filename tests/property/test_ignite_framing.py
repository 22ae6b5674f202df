"""However a stream is cut into reads, the same messages come out of it."""

from __future__ import annotations

import gzip
import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from shipper.ignite.framing import Deframer, frame

LIMIT = 300


def framed(message: bytes, compressed: bool) -> bytes:
    if not compressed:
        return frame(message)
    body = gzip.compress(message, mtime=0)
    return b"\x01" + len(body).to_bytes(4, "big") + body


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(place % (len(stream) + 1) for place in cuts)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


messages = st.lists(st.tuples(st.binary(max_size=400), st.booleans()), max_size=12)
cuts = st.lists(st.integers(min_value=0, max_value=10_000), max_size=30)


@given(messages, cuts)
@example([(b"", False), (b"", False)], [1, 2, 3, 4, 5, 6])
@example([(b"x" * 301, False), (b"y", False)], [4, 5, 6, 305])
def test_a_stream_cut_anywhere_gives_its_messages_in_order(
    sent: list[tuple[bytes, bool]], where: list[int]
) -> None:
    deframer = Deframer(limit=LIMIT)
    got: list[bytes] = []
    bad = 0
    for read in cut(b"".join(framed(*each) for each in sent), where):
        result = deframer.feed(read)
        got += result.bodies
        bad += result.bad
        assert len(deframer._rest) <= LIMIT + 5
    readable = [
        message
        for message, compressed in sent
        if len(message) <= LIMIT and len(framed(message, compressed)) - 5 <= LIMIT
    ]
    assert got == readable
    assert bad == len(sent) - len(readable)
    assert not deframer.incomplete
    assert not deframer.broken


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_garbage_neither_raises_nor_grows(reads: list[bytes]) -> None:
    deframer = Deframer(limit=LIMIT)
    for read in reads:
        if deframer.broken:
            break
        deframer.feed(read)
        assert len(deframer._rest) <= LIMIT + 5
