"""Asks a server for its descriptors: gRPC server reflection, v1 and else v1alpha.

The two versions differ only in the name of the service
(https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), so one set of message classes serves
both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from shipper.ignite.contract import ContractMismatch
from shipper.ignite.status import CallFailed, Code, Status

SERVICES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_NOT_OFFERED: Final = frozenset({Code.UNIMPLEMENTED, Code.NOT_FOUND, Code.PERMISSION_DENIED})
_MOST_FILES: Final = 500  # a hostile server must not keep us asking

Exchange = Callable[[str, bytes], Awaitable[list[bytes]]]
"""Sends one request message to a path and returns all messages of the answer."""


async def fetch(exchange: Exchange, symbol: str) -> list[FileDescriptorProto] | None:
    """The file that declares `symbol` with all its dependencies; None where the server offers no reflection.

    Raises CallFailed for anything else that goes wrong (then try again later), ContractMismatch where the
    server answers but does not know the symbol.
    """
    for service in SERVICES:
        path = f"/{service}/ServerReflectionInfo"
        try:
            return await _closure(exchange, path, symbol)
        except CallFailed as error:
            if error.status.code not in _NOT_OFFERED:
                raise
    return None


async def _closure(exchange: Exchange, path: str, symbol: str) -> list[FileDescriptorProto]:
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    while True:
        for file in _files(await exchange(path, question.SerializeToString()), symbol):
            files.setdefault(file.name, file)
        needed = {name for file in files.values() for name in file.dependency} - files.keys() - asked
        if not needed:
            return list(files.values())
        if len(files) > _MOST_FILES:
            raise ContractMismatch(f"the server's descriptors of {symbol} span more than {_MOST_FILES} files")
        name = min(needed)
        asked.add(name)
        question = reflection_pb2.ServerReflectionRequest(file_by_filename=name)


def _files(messages: list[bytes], symbol: str) -> list[FileDescriptorProto]:
    try:
        answers = [reflection_pb2.ServerReflectionResponse.FromString(message) for message in messages]
        for answer in answers:
            if answer.HasField("error_response"):
                problem = answer.error_response
                raise ContractMismatch(
                    f"the server's reflection does not describe {symbol}: {problem.error_message or problem.error_code}"
                )
        return [
            FileDescriptorProto.FromString(data)
            for answer in answers
            for data in answer.file_descriptor_response.file_descriptor_proto
        ]
    except DecodeError as error:
        raise CallFailed(
            Status(Code.INTERNAL, f"the reflection answer cannot be decoded: {error}")
        ) from error
