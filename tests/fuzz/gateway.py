"""`python -m tests.fuzz.gateway --seconds 60` reads streams that are broken in every way, and counts what comes of it.

What must hold: nothing is raised but CallFailed, no more is kept than the limit, and time is linear in the bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from shipper.ignite.gateway import protojson
from shipper.ignite.gateway.answer import Answer
from shipper.ignite.gateway.envelope import unwrap_all
from shipper.ignite.gateway.protojson import LogLines
from shipper.ignite.gateway.values import ValueReader
from shipper.ignite.status import CallFailed
from shipper.ignite.transport import ConnectionLost, StreamReset
from tests.fakes.response import FakeResponse
from tests.gateway_streams import PLAIN, WRAPPINGS, Message, cut

LIMIT: Final = 2_000  # bytes of one value
SLOW_S: Final = 2.0  # for one body of at most some 100 KB
TOKENS: Final = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\n", b"\r", b"\n\n", b"data:", b"data: ", b"event: error\n",
    b": x\n", b"null", b"true", b"-", b"1e999", b"9" * 30, b"\\u", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"\x00",
    b"<html>", b'{"error":', b'{"code":16,"message":"x"}', b'{"data":[', b'"status":"error"', b"[[[[" * 20,
    b'{"a":' * 70, b" " * 50, b"[DONE]", b'"timestampMs":', b'"replicaId":', b'"line":', b"{}", b"[]", b'""',
)  # fmt: skip
TYPES: Final = ("", "application/json", "text/event-stream; charset=utf-8", "text/html", "application/grpc")


def some_value(rng: random.Random, depth: int = 0) -> object:
    """A value of JSON that no field expects."""
    if depth < 3 and rng.random() < 0.3:
        return [some_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    if depth < 3 and rng.random() < 0.3:
        names = ("data", "result", "error", "code", "message", "status", "line", "details", "")
        return {rng.choice(names): some_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice((None, True, 0, -1, 16, 10**30, 1.5, "", "x", "UNAVAILABLE", "error", "503", "☃" * 3))


def some_message(rng: random.Random) -> Message:
    """A log line; sometimes with fields that are something else."""
    message: Message = {
        "timestampMs": str(rng.randrange(2**62)),
        "replicaId": rng.choice(("pod", "pod", "other")),
        "stream": rng.choice(("LOG_STREAM_STDOUT", 2, "LOG_STREAM_NEW")),
        "line": rng.choice(('}{"', "x" * rng.randrange(60), '\\"', "\n\ndata: ", "")),
    }
    if rng.random() < 0.2:
        message[rng.choice(list(message))] = some_value(rng)
    return message


def broken(body: bytes, rng: random.Random) -> bytes:
    """The body with some things changed."""
    for _ in range(rng.choice((0, 1, 1, 2, 5, 20))):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(5):
            case 0:
                body = body[:at] + rng.choice(TOKENS) + body[at:]
            case 1:
                body = body[:at] + body[at + rng.randrange(10) :]
            case 2:
                body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
            case 3:
                body = body[:at] + body[at // 2 : at] + body[at:]
            case _:
                body = body[:at] + rng.choice(TOKENS) * rng.randrange(60) + body[at:]
    return body[:100_000]


def some_body(rng: random.Random) -> bytes:
    """A stream of any form, broken or not; or tokens at random."""
    if rng.random() < 0.15:
        return b"".join(rng.choice(TOKENS) for _ in range(rng.randrange(300)))
    wrap = WRAPPINGS[rng.choice(sorted(WRAPPINGS))]
    write = PLAIN[rng.choice(sorted(PLAIN))]
    return broken(write([wrap(some_message(rng)) for _ in range(rng.randrange(1, 30))]), rng)


async def one(rng: random.Random) -> Counter[str]:
    """One body, by every reader; what came of it."""
    body = some_body(rng)
    pieces = [rng.choice((1, 2, 7, 60, 1000, 100_000)) for _ in range(3)]
    began = time.perf_counter()
    seen = by_reader(body, pieces)
    seen += await by_answer(body, pieces, rng)
    if time.perf_counter() - began > SLOW_S:
        raise AssertionError(f"{time.perf_counter() - began:.1f} s for {len(body)} bytes")
    return seen


def by_reader(body: bytes, pieces: Sequence[int]) -> Counter[str]:
    """The reader with a small limit: what it keeps is bounded."""
    reader = ValueReader(limit=LIMIT)
    lines = LogLines("pod")
    seen: Counter[str] = Counter()
    for piece in cut(body, pieces):
        found = reader.feed(piece)
        assert reader.held <= LIMIT, f"{reader.held} bytes are kept"
        unwrapped = unwrap_all(found.items)
        chunk = lines.chunk(unwrapped.messages, found.bad)
        assert len(chunk.times) == len(chunk.streams) == len(chunk.lines)
        protojson.each(protojson.event, unwrapped.messages)
        seen["lines"] += len(chunk.times)
        seen["bad"] += chunk.undecodable
        seen["failures"] += unwrapped.failure is not None
    reader.end()
    seen["broken"] += bool(reader.broken)
    return seen


async def by_answer(body: bytes, pieces: Sequence[int], rng: random.Random) -> Counter[str]:
    """A whole answer: it ends, or it fails as it may."""
    failures = (None, None, ConnectionLost("reset"), StreamReset("reset", rng.randrange(16)))
    response = FakeResponse(
        list(cut(body, pieces)),
        rng.choice((200, 200, 200, 204, 301, 401, 404, 418, 503, 599)),
        {"content-type": rng.choice(TYPES), "retry-after": rng.choice(("", "5", "soon"))},
        failure=rng.choice(failures),
    )
    statuses: list[object] = []
    try:
        answer = await Answer.read(response, "http://gateway", lambda: None, statuses.append)
        if rng.random() < 0.3:
            await answer.whole()
        else:
            async for messages in answer:
                LogLines("pod").chunk(messages.items, messages.bad)
    except CallFailed as failed:
        assert statuses == [failed.status]
        assert "\n" not in failed.status.message
        assert len(failed.status.message) < 1_000
        return Counter({failed.status.code.name: 1})
    return Counter({"OK": 1})


async def rounds(seed: int, *, seconds: float = 0.0, count: int = 0) -> Counter[str]:
    """So many rounds, or as many as fit into the time. What fails says by which seed it is had again."""
    seen: Counter[str] = Counter()
    until = time.monotonic() + seconds
    done = 0
    while done < count or time.monotonic() < until:
        try:
            seen += await one(random.Random(f"{seed}-{done}"))
        except BaseException:
            print(f"failed with: --seed {seed} --only {done}")
            raise
        done += 1
    return seen + Counter({"rounds": done})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--only", type=int, help="one round, as it was named when it failed")
    options = parser.parse_args()
    if options.only is not None:
        print(dict(asyncio.run(one(random.Random(f"{options.seed}-{options.only}")))))
        return
    print(json.dumps(asyncio.run(rounds(options.seed, seconds=options.seconds)), indent=2))


if __name__ == "__main__":
    main()
