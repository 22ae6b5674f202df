"""Fuzz targets: the HTTP gateway's answers as bytes: streams of every form, refusals, and build logs in JSON."""

from __future__ import annotations

import random
from typing import Final

from shipper.ignite.build_log import Malformed, RawAnswer
from shipper.ignite.gateway.builds import LogInJson
from shipper.ignite.gateway.refusal import refusal
from shipper.ignite.status import CallFailed
from tests.fakes.response import FakeResponse
from tests.fuzz.gateway import TOKENS, by_answer, by_reader
from tests.fuzz.target import Knobs, Target, in_pieces
from tests.gateway_streams import PLAIN, WRAPPINGS, Message

_CUTS: Final = ((1_000_000,), (1,), (7, 64), (60,), (3, 1, 900))
_MESSAGE: Final[Message] = {
    "timestampMs": "1700000000000",
    "replicaId": "pod",
    "stream": "LOG_STREAM_STDOUT",
    "line": 'a "}{" line',
}
_STATUSES: Final = (200, 301, 400, 401, 403, 404, 418, 429, 500, 503, 599)


async def streams(data: bytes) -> str:
    """A stream's body by the reader with a small limit, and as a whole answer."""
    knobs = Knobs(data)
    cuts = _CUTS[knobs.below(len(_CUTS))]
    drawn = random.Random(knobs.below(256))
    body = knobs.rest()
    seen = by_reader(body, cuts)
    seen += await by_answer(body, cuts, drawn)
    return " ".join(sorted(name for name, count in seen.items() if count))


def refusals(data: bytes) -> str:
    """A refusal is one readable line, whatever the server says."""
    knobs = Knobs(data)
    http = _STATUSES[knobs.below(len(_STATUSES))]
    kind = ("", "application/json", "text/html", "application/problem+json")[knobs.below(4)]
    head, _, body = knobs.rest().partition(b"\n\n")
    status = refusal(http, {"content-type": kind, "retry-after": head.decode("latin-1")}, body)
    assert status.message.isprintable()
    assert len(status.message) < 1_000
    return f"{status.code.name} {status.retry_after_s is not None}"


def build_log(data: bytes) -> str:
    """A build log in a JSON answer, cut anywhere: pieces of it, or Malformed, or CallFailed."""
    knobs = Knobs(data)
    log = LogInJson(RawAnswer(FakeResponse(), "http://gateway", lambda: None, lambda _: None))
    size = 0
    try:
        for piece in in_pieces(knobs):
            size += sum(len(text) for text in log.feed(piece))
        size += sum(len(text) for text in log.finish())
    except Malformed as error:
        return f"malformed {str(error)[:16]}"
    except CallFailed as failed:
        return failed.status.code.name
    return f"{log.found} {min(size, 1)}"


TARGETS: Final = (
    Target(
        "gateway-streams",
        "streams of the HTTP gateway in every form",
        [
            bytes([number % 5, number]) + write([wrap(_MESSAGE), wrap({**_MESSAGE, "stream": 7})])
            for number, (write, wrap) in enumerate(
                (write, wrap) for write in PLAIN.values() for wrap in list(WRAPPINGS.values())[:3]
            )
        ],
        run_async=streams,
        words=TOKENS,
    ),
    Target(
        "gateway-refusals",
        "refusals of the HTTP gateway",
        [
            b'\x04\x015\n\n{"error":{"code":7,"message":"no right"}}',
            b'\x09\x01\n\n{"code":14,"message":"down","details":[{"@type":"x","retryDelay":"3s"}]}',
            b"\x06\x02soon\n\n<html><title>I am a teapot</title></html>",
            b'\x05\x01\n\n{"data":null,"error":"gone","status":"error"}',
        ],
        refusals,
        words=TOKENS,
    ),
    Target(
        "gateway-build-log",
        "build logs of any size in JSON",
        [
            b'\x00{"log":"aGVsbG8gd29ybGQ=","found":true}',
            b'\x01{"data":{"found":true,"log":"aGVs\\u0062G8=\\n"}}',
            b'\x02{"error":{"code":5,"message":"no such build"}}',
            b'\x03{"found":false,"log":""}',
        ],
        build_log,
        words=[*TOKENS, b'"log":', b'"found":', b"aGVsbG8", b"=", b"==", b"\\u003d", b"-_", b"\\n"],
    ),
)
