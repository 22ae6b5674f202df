"""Asks a server for its descriptors: gRPC server reflection, v1 and else v1alpha.

The two versions differ only in the name of the service
(https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), so one set of message classes serves
both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError, Message
from grpc_reflection.v1alpha import reflection_pb2

from shipper.ignite.contract import ContractMismatch
from shipper.ignite.status import CallFailed, Code, Status, code_of

SERVICES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_NOT_OFFERED: Final = frozenset({Code.UNIMPLEMENTED, Code.PERMISSION_DENIED})
_MOST_FILES: Final = 500  # a hostile server must not keep us asking
_MOST_BYTES: Final = 64 * 1024 * 1024

Exchange = Callable[[str, bytes], Awaitable[bytes]]
"""Sends one request message to a path and returns the first message of the answer."""


async def fetch(exchange: Exchange, symbol: str) -> list[FileDescriptorProto] | None:
    """The file that declares `symbol` with all its dependencies, as far as the server has them; None where the
    server offers no reflection, or none of `symbol`.

    Raises CallFailed for anything else that goes wrong (then try again later), ContractMismatch where there is
    no end to the server's files.
    """
    for service in SERVICES:
        path = f"/{service}/ServerReflectionInfo"
        try:
            files = await _closure(exchange, path, symbol)
        except CallFailed as error:
            if error.status.code not in _NOT_OFFERED:
                raise
        else:
            if files:
                return files
    return None


async def _closure(exchange: Exchange, path: str, symbol: str) -> list[FileDescriptorProto]:
    """The file of `symbol` and what it imports; empty where the server does not know the symbol.

    An import that the server does not have need not be needed (some only declare options); where it is, deriving
    the contract says so.
    """
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    size = 0
    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    while True:
        for data in await _ask(exchange, path, question):
            size += len(data)
            file = _file(data)
            files.setdefault(file.name, file)
        if len(files) > _MOST_FILES or size > _MOST_BYTES:
            raise ContractMismatch(
                f"the server's descriptors of {symbol} do not end: given up at {len(files)} files, {size} bytes"
            )
        needed = {name for file in files.values() for name in file.dependency} - files.keys() - asked
        if not needed:
            return list(files.values())
        name = min(needed)
        asked.add(name)
        question = reflection_pb2.ServerReflectionRequest(file_by_filename=name)


async def _ask(
    exchange: Exchange, path: str, question: reflection_pb2.ServerReflectionRequest
) -> Sequence[bytes]:
    """The files that answer a question; none where the server does not have it, which servers say in two ways."""
    try:
        answer = reflection_pb2.ServerReflectionResponse.FromString(
            await exchange(path, question.SerializeToString())
        )
    except DecodeError as error:
        raise _undecodable(error) from error
    except CallFailed as failure:
        if failure.status.code is Code.NOT_FOUND:
            return ()
        raise
    if answer.HasField("error_response"):
        problem = answer.error_response
        if problem.error_code == Code.NOT_FOUND:
            return ()
        message = f"reflection answered error {problem.error_code}: {problem.error_message:.200}"
        code = code_of(str(problem.error_code))
        raise CallFailed(Status(Code.UNKNOWN if code is Code.OK else code, message))
    return answer.file_descriptor_response.file_descriptor_proto


def _file(data: bytes) -> FileDescriptorProto:
    try:
        file = FileDescriptorProto.FromString(data)
    except DecodeError as error:
        raise _undecodable(error) from error
    file.ClearField("source_code_info")  # comments, which nobody reads
    if not _is_text(file):
        raise _undecodable("a name in it is not UTF-8")
    return file


def _is_text(message: Message) -> bool:
    """Whether every text in a message is one: descriptors are proto2, whose texts are taken as they come and handed out
    as bytes where they are not UTF-8 (https://protobuf.dev/programming-guides/proto2/#scalar).
    """
    for declared, value in message.ListFields():
        values = value if declared.is_repeated else (value,)
        if declared.type == FieldDescriptor.TYPE_STRING and not all(isinstance(each, str) for each in values):
            return False
        if declared.type == FieldDescriptor.TYPE_MESSAGE and not all(map(_is_text, values)):
            return False
    return True


def _undecodable(error: DecodeError | str) -> CallFailed:
    return CallFailed(Status(Code.INTERNAL, f"the reflection answer cannot be decoded: {error}"))
