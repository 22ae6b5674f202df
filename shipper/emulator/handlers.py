"""The table of calls that is served, and what a grpc.aio server is given of it.

A handler takes a request message and the call's context. Answers leave as bytes, so that faults can send what is no
message: a unary handler returns them, a stream's writes them to its context.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from shipper.emulator.descriptors import Schema

Unary = Callable[[Any, Any], Awaitable[bytes]]
Streaming = Callable[[Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """Handlers of one service by method."""

    service: str
    unary: Mapping[str, Unary] = field(default_factory=dict)
    streams: Mapping[str, Streaming] = field(default_factory=dict)


def grpc_handler(schema: Schema, handlers: Handlers) -> Any:
    """What a grpc.aio server is given. Several for one service are asked one after the other."""
    methods = {
        name: grpc.unary_unary_rpc_method_handler(  # type: ignore[no-untyped-call]
            handler, request_deserializer=schema.message(f"{name}Request").FromString
        )
        for name, handler in handlers.unary.items()
    }
    methods |= {
        name: grpc.unary_stream_rpc_method_handler(  # type: ignore[no-untyped-call]
            handler, request_deserializer=schema.message(f"{name}Request").FromString
        )
        for name, handler in handlers.streams.items()
    }
    return grpc.method_handlers_generic_handler(handlers.service, methods)  # type: ignore[no-untyped-call]
