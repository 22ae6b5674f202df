"""Fuzz targets: what the platform streams over gRPC, from framing to columns; and build logs of any size."""

from __future__ import annotations

import gzip
from typing import Final

from google.protobuf.message import DecodeError

from shipper.ignite.build_log import Malformed
from shipper.ignite.contract import bundled
from shipper.ignite.decode import EventDecoder, LogDecoder, replicas
from shipper.ignite.framing import Deframer, frame
from shipper.ignite.lines import LineCutter
from shipper.ignite.long_field import LongField, LongMessage
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.model import App
from tests.fuzz.target import Knobs, Target, in_pieces

LIMIT: Final = 2_000
POD: Final = "pod"
_CONTRACT: Final = bundled()
_LOGS: Final = LogDecoder(_CONTRACT.calls["StreamAppLogs"].response, POD)
_STRICT: Final = LogDecoder(_CONTRACT.calls["StreamAppLogs"].response, POD, strict=True)
_EVENTS: Final = EventDecoder(_CONTRACT.calls["StreamAppEvents"].response)
_REPLICAS: Final = _CONTRACT.calls["ListAppReplicas"].response
_APP: Final = App("acme", "checkout")


def _line(text: str, pod: str = POD, stream: int = 1, time: int = 1_700_000_000_000) -> bytes:
    return pb.LogLine(timestamp_ms=time, replica_id=pod, stream=stream, line=text).SerializeToString()


def _packed(message: bytes) -> bytes:
    body = gzip.compress(message, mtime=0)
    return b"\x01" + len(body).to_bytes(4, "big") + body


def logs(data: bytes) -> str:
    """Reads of any size to lines: columns of one length, no more kept than the limit."""
    knobs = Knobs(data)
    decoder = (_LOGS, _STRICT)[knobs.below(2)]
    deframer = Deframer(limit=LIMIT)
    lines = bad = 0
    for piece in in_pieces(knobs):
        found = deframer.feed(piece)
        while True:
            chunk = decoder.decode(found)
            assert len(chunk.times) == len(chunk.streams) == len(chunk.lines)
            assert max(map(len, found.bodies), default=0) <= LIMIT
            _EVENTS.decode(found)
            lines += len(chunk.times)
            bad += chunk.undecodable
            if not deframer.more:
                break
            found = deframer.feed(b"")
        assert len(deframer._rest) <= LIMIT + 5 + len(piece)
        if deframer.broken:
            return "broken"
    return f"{min(lines, 3)} lines, {min(bad, 2)} bad, {deframer.incomplete}"


def rows(data: bytes) -> str:
    """The answer of ListAppReplicas, with texts that are none."""
    for form in (_REPLICAS.text, _REPLICAS.raw):
        try:
            answer = form.FromString(data)
        except DecodeError:
            continue
        found = replicas(_REPLICAS, _APP, answer.replicas)
        return f"{min(len(found), 3)} replicas"
    return "garbage"


def build_log(data: bytes) -> str:
    """A message too long to keep, cut anywhere, to lines: every byte of the log is in them, or it is Malformed."""
    knobs = Knobs(data)
    message, log, cutter = LongMessage(), LongField(1), LineCutter(longest=300)
    brought = kept = 0
    try:
        for piece in in_pieces(knobs):
            for part in message.feed(piece):
                for text in log.feed(part):
                    brought += len(text)
                    found = cutter.feed(text, 1)
                    assert max(map(len, found.lines), default=0) <= 300
                    kept += sum(map(len, found.lines))
                    assert len(cutter._rest) <= 300
    except Malformed as error:
        return f"malformed: {str(error)[:20]}"
    kept += sum(map(len, cutter.finish().lines))
    assert kept <= brought
    return f"{message.complete} {log.complete} {min(kept, 1)}"


_LINES: Final = [frame(_line(text)) for text in ("", "hello", "x" * 90, "\u2603 \x00")]
_WORDS: Final = (
    b"\x00\x00\x00\x00",
    b"\x01\x00\x00\x00",
    b"\x12\x03pod",
    b"\x22\xff\xff\xff\xff\x0f",
    b"\xff\xfe\x80",
)
_EVENT: Final = pb.AppEvent(
    timestamp_ms=5, kind=1, reason="OOMKilling", message="m", replica_id=POD, count=3, severity="Warning"
).SerializeToString()
_REPLICA: Final = pb.ListAppReplicasResponse(
    replicas=[
        pb.AppReplica(replica_id="a", ready=True),
        pb.AppReplica(replica_id="b", node_name="n", restart_count=2),
    ]
).SerializeToString()
_LOG: Final = b"\x0a\x60" + (b"step 1\r\nstep 2\n" + b"." * 200)[:0x60] + b"\x10\x01"

TARGETS: Final = (
    Target(
        "grpc-logs",
        "gRPC framing, gzip of messages, protobuf columns of lines and events",
        [
            b"\x00\x00" + b"".join(_LINES),
            b"\x01\x02" + _packed(_line("packed")) + frame(_line("other", "other")) + _LINES[0],
            b"\x00\x01" + frame(_EVENT) + frame(_line("late", stream=9, time=-1)),
            b"\x00\x04" + frame(_line("y" * 1900)) + frame(b"\x22\x02\xff\xfe"),
        ],
        logs,
        words=_WORDS,
    ),
    Target("grpc-rows", "the message of ListAppReplicas", [_REPLICA, _REPLICA * 3, b""], rows, words=_WORDS),
    Target(
        "grpc-build-log",
        "GetBuildLog's message of any size to lines",
        [
            b"\x00" + frame(_LOG),
            b"\x02" + _packed(_LOG * 1),
            b"\x01" + frame(b"\x10\x01" + _LOG),
            b"\x03" + frame(b"\x1d1234\x21" + b"12345678" + _LOG),
        ],
        build_log,
        words=_WORDS,
    ),
)
