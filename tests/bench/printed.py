"""What the load server's replicas have printed: the encoded stream of each, and a tally to compare an archive with.

A stream's body is encoded once, when a line is printed; serving it, also again from the start, is copying.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Final

import orjson
from xxhash import xxh3_128_intdigest

_MASK: Final = 2**128 - 1
_PREFIX: Final = struct.Struct(">BI")

Encode = Callable[[str, int, int, str], bytes]
"""A line as a stream brings it: replica_id, time in Unix ms, number of the stream, text."""

STREAMS: Final = {1: "stdout", 2: "stderr"}
STDERR_EVERY: Final = 10  # one line in so many is on stderr


@dataclass(slots=True)
class Tally:
    """A multiset of log lines as a count and a digest that does not depend on their order."""

    count: int = 0
    digest: int = 0

    def add(self, app: str, replica_id: str, time_ms: int, stream: str, line: str) -> None:
        self.count += 1
        hashed = xxh3_128_intdigest(f"{app}\0{replica_id}\0{time_ms}\0{stream}\0{line}")
        self.digest = (self.digest + hashed) & _MASK

    def __str__(self) -> str:
        return f"{self.count}:{self.digest:032x}"


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text_field(number: int, value: bytes) -> bytes:
    """A string field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def grpc_message(message: bytes) -> bytes:
    """The message with gRPC's prefix, not compressed."""
    return _PREFIX.pack(0, len(message)) + message


def grpc_line(replica_id: str, time_ms: int, stream: int, line: str) -> bytes:
    """As gRPC's messages are, with the numbers of proto/ignite_compute.proto."""
    return grpc_message(
        b"\x08%b%b\x18%c%b"
        % (varint(time_ms), text_field(2, replica_id.encode()), stream, text_field(4, line.encode()))
    )


def json_line(replica_id: str, time_ms: int, stream: int, line: str) -> bytes:
    """As a gateway that puts each message on a line of its own: the documented JSON, with nothing left out."""
    message = {
        "timestampMs": str(time_ms),
        "replicaId": replica_id,
        "stream": f"LOG_STREAM_{STREAMS[stream].upper()}",
        "line": line,
    }
    return orjson.dumps(message) + b"\n"


def json_chunk(replica_id: str, time_ms: int, stream: int, line: str) -> bytes:
    """The same in a chunk of HTTP/1.1 of its own, as from a gateway that flushes after each message."""
    text = json_line(replica_id, time_ms, stream, line)
    return b"%x\r\n%b\r\n" % (len(text), text)


@dataclass(slots=True, eq=False)
class Replica:
    """One replica: `body` is everything it has printed, as StreamAppLogs sends it from the start."""

    app: str
    replica_id: str
    encode: Encode = grpc_line
    body: bytearray = field(default_factory=bytearray)
    lines: int = 0

    def print(self, time_ms: int, line: str, tally: Tally) -> None:
        """Append one line."""
        self.lines += 1
        number = 1 if self.lines % STDERR_EVERY else 2
        self.body += self.encode(self.replica_id, time_ms, number, line)
        tally.add(self.app, self.replica_id, time_ms, STREAMS[number], line)


def replica_name(index: int, apps: int) -> str:
    """The replica_id of the index-th replica: replicas go round the apps."""
    return f"app-{index % apps}-7f9c4d-{index:05d}"


class Printed:
    """All replicas, and what they have printed between them."""

    def __init__(self, apps: int, replicas: int, lines: Sequence[str], encode: Encode = grpc_line) -> None:
        names = [(f"app-{index % apps}", replica_name(index, apps)) for index in range(replicas)]
        self.replicas = {replica_id: Replica(app, replica_id, encode) for app, replica_id in names}
        self.tally = Tally()
        self._turns = cycle(self.replicas.values())
        self._lines = cycle(lines)

    def history(self, lines_each: int, lines_per_s: int, end_ms: int) -> None:
        """Every replica has printed so many lines, at that pace, until `end_ms`."""
        for replica in self.replicas.values():
            begin_ms = end_ms - lines_each * 1000 // lines_per_s
            for index, line in enumerate(islice(self._lines, lines_each)):
                replica.print(begin_ms + index * 1000 // lines_per_s, line, self.tally)

    def print_next(self, count: int, time_ms: int) -> list[Replica]:
        """The next replicas in turn print one line each, now; which they were."""
        turns = list(islice(self._turns, count))
        for replica in turns:
            replica.print(time_ms, next(self._lines), self.tally)
        return turns
