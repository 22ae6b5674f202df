"""The HTTP gateway of the emulated Ignite: the same handlers as over gRPC, in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from shipper.emulator.descriptors import Schema
from shipper.emulator.handlers import Handlers, Streaming, Unary
from shipper.emulator.http_call import Aborted, Exchange, HttpCall
from shipper.emulator.http_json import text_of
from shipper.emulator.http_routes import asked, message_of
from shipper.emulator.http_style import HEADER, HttpStyle


class Gateway:
    """Answers requests over any `Exchange`. A request's own style (the header of that name) goes before `style`."""

    def __init__(self, handlers: Sequence[Handlers], schema: Schema, style: HttpStyle) -> None:
        self._unary: dict[str, Unary] = {}
        self._streams: dict[str, Streaming] = {}
        for each in handlers:
            self._unary |= each.unary
            self._streams |= each.streams
        self._kinds = {
            method.name: (
                schema.message(method.input_type.rpartition(".")[2]),
                schema.message(method.output_type.rpartition(".")[2]),
            )
            for file in schema.files
            for service in file.service
            for method in service.method
        }
        self.style = style

    async def serve(self, exchange: Exchange, method: str, target: str, headers: Mapping[str, str]) -> None:
        """Answer one request; `headers` have names in lower case."""
        request = asked(target)
        if request is not None and request.method == "HealthCheck":
            await _say(exchange, 200, {"status": "SERVING"})
        elif request is None or request.method not in self._kinds:
            await _say(exchange, 404, {"code": 5, "message": "Not Found", "details": []})
        elif method != "GET":
            await _say(exchange, 501, {"code": 12, "message": "Method Not Allowed", "details": []})
        else:
            await self._call(exchange, request.method, request.fields, headers)

    async def _call(
        self, exchange: Exchange, name: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        kind, answered = self._kinds[name]
        call = HttpCall(exchange, self.style, answered, headers)
        try:
            try:
                call.style = self.style.parsed(headers.get(HEADER, ""))
                message = message_of(kind, fields)
            except ValueError as error:
                raise Aborted(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
            if name in self._unary:
                await call.answer(await self._unary[name](message, call))
            else:
                await _stream(self._streams[name], message, call)
        except Aborted as error:
            await call.fail(error)


async def _stream(handler: Streaming, message: Any, call: HttpCall) -> None:
    keeping = asyncio.create_task(call.keep_alive(), name="emulator keep-alive")
    try:
        await handler(message, call)
        await call.finish()
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def _say(exchange: Exchange, status: int, value: Mapping[str, Any]) -> None:
    await exchange.begin(status, {"content-type": "application/json"})
    await exchange.send(text_of(dict(value)))
    await exchange.end()
