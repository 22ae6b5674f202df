"""Cutting gRPC messages out of reads: sizes, compression, bombs and what is no framing at all."""

from __future__ import annotations

import gzip
import zlib

from shipper.ignite.framing import MAX_MESSAGE, Deframer, frame


def packed(message: bytes) -> bytes:
    """A compressed message with its prefix."""
    return b"\x01" + len(message).to_bytes(4, "big") + message


def header(size: int, flag: int = 0) -> bytes:
    return bytes([flag]) + size.to_bytes(4, "big")


def test_a_message_that_comes_byte_by_byte_is_whole() -> None:
    deframer = Deframer()
    reads = [deframer.feed(bytes([byte])) for byte in frame(b"hello") + frame(b"")]
    assert [read.bodies for read in reads if read.bodies] == [[b"hello"], [b""]]
    assert not deframer.incomplete


def test_a_message_of_16_mib_in_pieces_is_read_and_a_larger_one_is_skipped_and_counted() -> None:
    deframer = Deframer()
    largest = b"x" * MAX_MESSAGE
    stream = frame(largest) + header(MAX_MESSAGE + 1) + b"y" * (MAX_MESSAGE + 1) + frame(b"after")
    reads = [deframer.feed(stream[at : at + 65_536]) for at in range(0, len(stream), 65_536)]
    bodies = [body for read in reads for body in read.bodies]
    assert [len(body) for body in bodies] == [MAX_MESSAGE, 5]
    assert bodies[1] == b"after"
    assert sum(read.bad for read in reads) == 1
    assert not deframer.incomplete


def test_what_is_kept_of_a_message_that_is_too_large_is_nothing() -> None:
    deframer = Deframer()
    assert deframer.feed(header(2**32 - 1) + b"z" * 100).bad == 1
    assert deframer.feed(b"z" * 1_000_000).bodies == []
    assert deframer.incomplete
    assert len(deframer._rest) == 0


def test_gzip_and_deflate_messages_are_unpacked() -> None:
    read = Deframer().feed(packed(gzip.compress(b"one")) + packed(zlib.compress(b"two")) + frame(b"three"))
    assert read.bodies == [b"one", b"two", b"three"]


def test_a_compressed_message_of_exactly_the_limit_is_read() -> None:
    assert Deframer(limit=1000).feed(packed(gzip.compress(b"x" * 1000))).bodies == [b"x" * 1000]


def test_a_decompression_bomb_is_counted_and_its_neighbours_are_read() -> None:
    bomb = zlib.compress(b"\0" * (MAX_MESSAGE + 1))
    assert len(bomb) < 20_000
    read = Deframer().feed(frame(b"before") + packed(bomb) + frame(b"after"))
    assert (read.bodies, read.bad) == ([b"before", b"after"], 1)


def test_damaged_compression_is_counted() -> None:
    whole = gzip.compress(b"hello hello hello")
    damaged = [whole[:-3], whole + b"more", b"\x1f\x8bgarbage", b""]
    read = Deframer().feed(b"".join(map(packed, damaged)) + frame(b"after"))
    assert (read.bodies, read.bad) == ([b"after"], len(damaged))


def test_what_is_no_framing_is_said_after_the_messages_before_it() -> None:
    deframer = Deframer()
    assert deframer.feed(frame(b"good") + b"<html>502 Bad Gateway</html>").bodies == [b"good"]
    assert deframer.broken
