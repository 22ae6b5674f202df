"""A plain grpc.aio client of an emulator: it decodes with the descriptors that reflection gives, as grpcurl would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2

from shipper.emulator import Emulator

PACKAGE = "dodil.ignite.v1"


class Client:
    """Calls by method name with keyword fields. `schema` fetches the descriptors; before it only `reflect` works."""

    def __init__(self, ignite: Emulator, token: str | None = None, **channel: Any) -> None:
        token = ignite.scenario.token if token is None else token
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        credentials = channel.pop("credentials", None)
        if credentials is None:
            self.channel = grpc.aio.insecure_channel(ignite.address, **channel)
        else:
            self.channel = grpc.aio.secure_channel(ignite.address, credentials, **channel)
        self.organization = ignite.scenario.organization
        self.pool = descriptor_pool.DescriptorPool()
        self.files: list[str] = []

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.channel.close()

    async def reflect(self, generation: str = "v1", **request: Any) -> Any:
        call = self.channel.stream_stream(
            f"/grpc.reflection.{generation}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(metadata=self.metadata)
        await call.write(reflection_pb2.ServerReflectionRequest(**request))
        answer = await call.read()
        await call.done_writing()
        if answer is grpc.aio.EOF:
            raise AssertionError(await call.details())
        return answer

    async def schema(self, generation: str = "v1") -> Client:
        """Fetch the service's file and, one by one, every import that did not come with it."""
        answer = await self.reflect(generation, file_containing_symbol=f"{PACKAGE}.ComputeService")
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(each)
            for each in answer.file_descriptor_response.file_descriptor_proto
        ]
        known = {file.name for file in files}
        for name in {name for file in files for name in file.dependency} - known:
            answer = await self.reflect(generation, file_by_filename=name)
            files += [
                descriptor_pb2.FileDescriptorProto.FromString(each)
                for each in answer.file_descriptor_response.file_descriptor_proto
            ]
        for file in sorted(files, key=lambda file: len(file.dependency)):
            self.pool.Add(file)
        self.files = [file.name for file in files]
        return self

    def message(self, name: str) -> Any:
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))

    def enum(self, name: str, number: int) -> str:
        return self.pool.FindEnumTypeByName(f"{PACKAGE}.{name}").values_by_number[number].name

    async def unary(self, method: str, **fields: Any) -> Any:
        call = self.channel.unary_unary(f"/{PACKAGE}.ComputeService/{method}")
        body = self.message(f"{method}Request")(**{"organization_name": self.organization, **fields})
        answer = await call(body.SerializeToString(), metadata=self.metadata)
        return self.message(f"{method}Response").FromString(answer)

    def stream(self, method: str, **fields: Any) -> Any:
        """The raw call: iterate for bytes, or ask for its code."""
        call = self.channel.unary_stream(f"/{PACKAGE}.ComputeService/{method}")
        body = self.message(f"{method}Request")(organization_name=self.organization, **fields)
        return call(body.SerializeToString(), metadata=self.metadata)

    async def logs(self, **fields: Any) -> AsyncIterator[Any]:
        """Decoded lines of StreamAppLogs until the stream ends."""
        decode = self.message("LogLine").FromString
        async for body in self.stream("StreamAppLogs", **fields):
            yield decode(body)

    async def texts(self, count: int, **fields: Any) -> list[str]:
        """The text of the first lines of a stream; the rest is cancelled."""
        found: list[str] = []
        async for line in self.logs(**fields):
            found.append(line.line)
            if len(found) == count:
                break
        return found
