"""One call over HTTP: what a handler is given as its context, and how that becomes an answer in some style."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError

from shipper.emulator.http_json import object_of, text_of
from shipper.emulator.http_style import Form, HttpStyle
from shipper.emulator.service import PUSHBACK

# As google.api.http maps them: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_HTTP: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
_TYPE: Final = "content-type"
JSON: Final = "application/json"
_TYPES: Final = {Form.NDJSON: "application/x-ndjson", Form.SSE: "text/event-stream"}
_GARBAGE: Final = {
    "timestampMs": "half past nine",
    "line": 17,
}  # an object, and not one that a message can be


class Exchange(Protocol):
    """An HTTP answer, whatever the version."""

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers."""

    async def send(self, data: bytes) -> None:
        """Send a piece of the body; returns when there is room for more."""

    async def end(self) -> None:
        """End it in good order."""

    def cut(self) -> None:
        """Break it off."""


class Aborted(Exception):
    """A handler refuses the call, or ends its stream with an error."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(slots=True)
class HttpCall:
    """A handler's context, with the methods of grpc.aio's that the handlers use. `kind` is the class of the messages
    that it answers.
    """

    exchange: Exchange
    style: HttpStyle
    kind: Any
    headers: Mapping[str, str]
    _wish: Mapping[str, str] = field(default_factory=dict)
    _begun: bool = False
    _some: bool = False
    _wrote_at: float = 0.0
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    # ---- the handler's side ----

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.headers.items())

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str]]) -> None:
        """Of a call that is refused: when to come back is a header of its own over HTTP."""
        self._wish = {"retry-after": str(math.ceil(int(dict(metadata)[PUSHBACK]) / 1000))}

    async def abort(self, code: grpc.StatusCode, message: str = "") -> NoReturn:
        raise Aborted(code, message)

    async def send_initial_metadata(self, _: object) -> None:
        """A stream is open, though nothing may come for long."""
        self._begun = True
        await self.exchange.begin(200, {_TYPE: _TYPES.get(self.style.form, JSON)})
        await self._send({Form.ARRAY: b"[", Form.ENVELOPED_ARRAY: b'{"data": ['}.get(self.style.form, b""))

    async def write(self, message: bytes) -> None:
        """Send one message of a stream."""
        await self._message(self._object(message))

    # ---- the server's side ----

    async def answer(self, message: bytes) -> None:
        """The one message of a unary call."""
        await self.exchange.begin(200, {_TYPE: JSON})
        await self.exchange.send(text_of(self._enveloped(self._object(message))))
        await self.exchange.end()

    async def finish(self) -> None:
        """A stream ends in good order."""
        await self._send(
            {Form.ARRAY: b"]", Form.ENVELOPED_ARRAY: b'], "status": "success"}'}.get(self.style.form, b"")
        )
        await self.exchange.end()

    async def fail(self, error: Aborted) -> None:
        """Refuse; once a stream has begun, say it in the stream where the form can say it, else break it off."""
        status = {"code": error.code.value[0], "message": error.message, "details": []}
        if not self._begun:
            await self.exchange.begin(_HTTP.get(error.code, 500), {_TYPE: JSON, **self._wish})
            envelope = {"data": None, "status": "error", **status}
            await self.exchange.send(text_of(envelope if self.style.envelope else status))
            await self.exchange.end()
        elif self.style.form is Form.RESULT:
            await self._send(text_of({"error": status}) + b"\n")
            await self.exchange.end()
        elif self.style.form is Form.SSE:
            await self._send(b"event: error\ndata: " + text_of(status) + b"\n\n")
            await self.exchange.end()
        else:
            self.exchange.cut()

    async def keep_alive(self) -> None:
        """Send what means nothing whenever a stream is silent for long; until cancelled."""
        loop = asyncio.get_running_loop()
        every = self.style.keep_alive_s
        while True:
            await asyncio.sleep(max(every / 10, self._wrote_at + every - loop.time()))
            if self._begun and loop.time() >= self._wrote_at + every:
                await self._send(b": keep-alive\n\n" if self.style.form is Form.SSE else b"\n")

    def _object(self, message: bytes) -> dict[str, Any]:
        with suppress(DecodeError):
            return object_of(self.kind.FromString(message), self.style)
        return _GARBAGE

    def _enveloped(self, value: dict[str, Any]) -> dict[str, Any]:
        return {"data": value, "status": "success"} if self.style.envelope else value

    async def _message(self, value: dict[str, Any]) -> None:
        text = text_of(self._enveloped(value))
        match self.style.form:
            case Form.NDJSON:
                text += b"\n"
            case Form.RESULT:
                text = b'{"result":' + text + b"}\n"
            case Form.SSE:
                text = b"data: " + text + b"\n\n"
            case Form.ARRAY | Form.ENVELOPED_ARRAY if self._some:
                text = b"," + text
        self._some = True
        await self._send(text)

    async def _send(self, data: bytes) -> None:
        """Whole pieces one after the other: a keep-alive must not come into the middle of a message."""
        self._wrote_at = asyncio.get_running_loop().time()
        async with self._writing:
            if data:
                await self.exchange.send(data)
