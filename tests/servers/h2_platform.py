"""A platform client for a scripted server, and a script that knows the platform's methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from shipper.config.platform import IgniteSettings
from shipper.ignite.auth import NoToken, TokenSource
from shipper.ignite.connect import connect
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.model import App
from tests.servers.h2_server import Exchange, H2Server, Script

APP = App("acme-corp", "checkout")
POD = "checkout-7c9d8-abcde"
NOW = 1_716_893_900_000


def line(text: str, **fields: Any) -> bytes:
    """A LogLine of POD."""
    return pb.LogLine(
        **{"timestamp_ms": NOW, "replica_id": POD, "stream": 1, "line": text, **fields}
    ).SerializeToString()


@dataclass(slots=True)
class Methods:
    """A script that calls another by the method's name. Reflection gives the bundled descriptors unless scripted."""

    scripts: Mapping[str, Script] = field(default_factory=dict)

    async def __call__(self, exchange: Exchange) -> None:
        method = exchange.path.rpartition("/")[2]
        if method in self.scripts:
            await self.scripts[method](exchange)
        elif method == "ServerReflectionInfo":
            await exchange.answer(described(FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)))
        else:
            await exchange.refuse(12)


def serving(**scripts: Script) -> Methods:
    """A script of methods by name."""
    return Methods(scripts)


def described(*files: FileDescriptorProto) -> bytes:
    """The answer of server reflection."""
    return reflection_pb2.ServerReflectionResponse(
        file_descriptor_response={"file_descriptor_proto": [file.SerializeToString() for file in files]}
    ).SerializeToString()


def settings_for(address: str, **more: Any) -> IgniteSettings:
    """What a configuration would say of a server in plaintext."""
    return IgniteSettings.model_validate(
        {"endpoint": f"grpc://{address}", "organization": APP.organization, "auth": {"type": "none"}, **more}
    )


@asynccontextmanager
async def platform_of(
    server: H2Server,
    tokens: TokenSource | None = None,
    *,
    call_timeout_s: float = 5.0,
    patience_s: float = 0.2,
) -> AsyncIterator[GrpcPlatform]:
    """The client, as the daemon has it but for its patience."""
    platform = GrpcPlatform(
        base_url=server.url,
        organization=APP.organization,
        tokens=tokens or NoToken(),
        connect=connect(settings_for(server.address)).connect,
        call_timeout_s=call_timeout_s,
        patience_s=patience_s,
    )
    try:
        yield platform
    finally:
        await platform.aclose()
