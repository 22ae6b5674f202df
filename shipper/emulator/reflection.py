"""gRPC server reflection over given file descriptors, in both generations (their messages are the same on the wire)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb

from shipper.emulator.scenario import Reflection

# https://github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto
_SERVICES: Final = {
    Reflection.V1: ("grpc.reflection.v1.ServerReflection",),
    Reflection.V1ALPHA: ("grpc.reflection.v1alpha.ServerReflection",),
    Reflection.BOTH: ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"),
    Reflection.OFF: (),
}

Gate = Callable[[str, Any], Awaitable[None]]  # (method, call context): returns to admit, aborts to refuse


class ReflectionService:
    """Answers for the files that the emulator serves by. Extensions do not exist in proto3 and are not found."""

    def __init__(
        self,
        files: Sequence[descriptor_pb2.FileDescriptorProto],
        generations: Reflection,
        gate: Gate,
        *,
        with_imports: bool,
    ) -> None:
        self._files = {file.name: file for file in files}
        self._symbols = {symbol: file.name for file in files for symbol in _symbols(file)}
        self._own = _SERVICES[generations]
        self._listed = sorted([*_services(files), *self._own])
        self._gate = gate
        self._with_imports = with_imports

    def handlers(self) -> tuple[Any, ...]:
        """What a grpc.aio server is given."""
        method = grpc.stream_stream_rpc_method_handler(  # type: ignore[no-untyped-call]
            self._serve,
            request_deserializer=pb.ServerReflectionRequest.FromString,
            response_serializer=pb.ServerReflectionResponse.SerializeToString,
        )
        return tuple(
            grpc.method_handlers_generic_handler(  # type: ignore[no-untyped-call]
                service, {"ServerReflectionInfo": method}
            )
            for service in self._own
        )

    async def _serve(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        await self._gate("ServerReflectionInfo", context)
        async for request in requests:
            answer = self._answer(request)
            answer.valid_host = request.host
            answer.original_request.CopyFrom(request)
            yield answer

    def _answer(self, request: Any) -> Any:
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            return pb.ServerReflectionResponse(
                list_services_response={"service": [{"name": name} for name in self._listed]}
            )
        if asked == "file_by_filename":
            return self._file(request.file_by_filename)
        if asked == "file_containing_symbol":
            return self._file(self._symbols.get(request.file_containing_symbol, ""))
        if asked is None:
            return _error(grpc.StatusCode.INVALID_ARGUMENT, "the request asks for nothing")
        return _error(grpc.StatusCode.NOT_FOUND, "no extensions here")

    def _file(self, name: str) -> Any:
        if name not in self._files:
            return _error(grpc.StatusCode.NOT_FOUND, "no such file or symbol")
        names = [name]
        if self._with_imports:
            names += self._files[name].dependency
        return pb.ServerReflectionResponse(
            file_descriptor_response={
                "file_descriptor_proto": [self._files[each].SerializeToString() for each in names]
            }
        )


def _services(files: Sequence[descriptor_pb2.FileDescriptorProto]) -> list[str]:
    return [f"{file.package}.{service.name}" for file in files for service in file.service]


def _symbols(file: descriptor_pb2.FileDescriptorProto) -> list[str]:
    names = [message.name for message in file.message_type]
    names += [enum.name for enum in file.enum_type]
    names += [service.name for service in file.service]
    names += [f"{service.name}.{method.name}" for service in file.service for method in service.method]
    names += [f"{message.name}.{field.name}" for message in file.message_type for field in message.field]
    return [f"{file.package}.{name}" for name in names]


def _error(code: grpc.StatusCode, message: str) -> Any:
    return pb.ServerReflectionResponse(error_response={"error_code": code.value[0], "error_message": message})
