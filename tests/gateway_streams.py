"""Streams of messages as an HTTP gateway may write them: every form, every spelling, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Message = dict[str, Any]
Write = Callable[[Sequence[Message]], bytes]


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def spaced(value: Any) -> bytes:
    return json.dumps(value).encode()


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


def event(text: bytes, end: bytes = b"\n", before: bytes = b"") -> bytes:
    lines = b"".join(b"data: " + line + end for line in text.split(b"\n"))
    return before + lines + end


PLAIN: dict[str, Write] = {
    "ndjson": lambda messages: b"".join(compact(m) + b"\n" for m in messages),
    "ndjson, last line open": lambda messages: b"\n".join(map(compact, messages)),
    "ndjson, spaced": lambda messages: b"".join(b" " + spaced(m) + b" \n" for m in messages),
    "ndjson, returns and blank lines": lambda messages: b"".join(compact(m) + b"\r\n\r\n" for m in messages),
    "objects": lambda messages: b"".join(map(compact, messages)),
    "objects, pretty": lambda messages: b"".join(map(pretty, messages)),
    "objects, pretty lines": lambda messages: b"\n".join(map(pretty, messages)),
    "array": lambda messages: b"[" + b",".join(map(compact, messages)) + b"]",
    "array, spaced": lambda messages: b" [ " + b" , ".join(map(spaced, messages)) + b" ] \n",
    "array of lines": lambda messages: b"[\n" + b",\n".join(map(compact, messages)) + b"\n]\n",
    "array, commas first": lambda messages: b"[" + b"\n,".join(map(compact, messages)) + b"]",
    "array, pretty": lambda messages: b"[" + b",".join(map(pretty, messages)) + b"]",
    "array in an envelope": lambda messages: (
        b'{"data":[' + b",".join(map(compact, messages)) + b'],"status":"success"}'
    ),
    "array in an envelope, spaced": lambda messages: (
        b'{ "result" : [' + b", ".join(map(spaced, messages)) + b' ] , "status" : { "code" : 0 } }\n'
    ),
    "events": lambda messages: b"".join(event(compact(m)) for m in messages),
    "events, last one open": lambda messages: b"".join(event(compact(m)) for m in messages)[:-1],
    "events, returns": lambda messages: b"".join(event(compact(m), b"\r\n") for m in messages),
    "events, old returns": lambda messages: b"".join(event(compact(m), b"\r") for m in messages),
    "events of several lines": lambda messages: b"".join(event(pretty(m)) for m in messages),
    "events with names and comments": lambda messages: (
        b"retry: 10\n\n: hello\n\n"
        + b"".join(event(compact(m), before=b": ping\n\nid: 7\nevent: message\n") for m in messages)
    ),
    "events without spaces": lambda messages: b"".join(b"data:" + compact(m) + b"\n\n" for m in messages),
}

WRAPPINGS: dict[str, Callable[[Message], Message]] = {
    "bare": lambda message: message,
    "result": lambda message: {"result": message},
    "data": lambda message: {"data": message, "status": "success"},
    "data and more": lambda message: {"status": "ok", "code": 200, "message": "", "data": message},
    "both": lambda message: {"data": {"result": message}, "status": "success"},
    "a list": lambda message: {"data": [message], "status": "success"},
}


def cut(body: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The body in pieces of these sizes, again and again."""
    at = turn = 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        yield body[at : at + size]
        at, turn = at + size, turn + 1
