"""Asking for descriptors: both versions, the ways in which servers answer, and servers that mean no good."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from shipper.ignite.contract import ContractMismatch
from shipper.ignite.reflection import fetch
from shipper.ignite.status import CallFailed, Code, Status

V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SYMBOL = "acme.Service"

Answer = Callable[[reflection_pb2.ServerReflectionRequest], bytes]


class Server:
    """Answers by path; counts questions."""

    def __init__(self, **paths: Answer | Code) -> None:
        self.paths = {
            V1: paths.get("v1", Code.UNIMPLEMENTED),
            V1ALPHA: paths.get("v1alpha", Code.UNIMPLEMENTED),
        }
        self.asked: list[tuple[str, str]] = []

    async def exchange(self, path: str, message: bytes) -> bytes:
        question = reflection_pb2.ServerReflectionRequest.FromString(message)
        self.asked.append((path, question.file_containing_symbol or question.file_by_filename))
        answer = self.paths[path]
        if isinstance(answer, Code):
            raise CallFailed(Status(answer))
        return answer(question)


def described(*files: FileDescriptorProto) -> bytes:
    return reflection_pb2.ServerReflectionResponse(
        file_descriptor_response={"file_descriptor_proto": [file.SerializeToString() for file in files]}
    ).SerializeToString()


def error(code: int, message: str = "") -> bytes:
    return reflection_pb2.ServerReflectionResponse(
        error_response={"error_code": code, "error_message": message}
    ).SerializeToString()


MAIN = FileDescriptorProto(name="main.proto", dependency=["common.proto", "google/api/annotations.proto"])
COMMON = FileDescriptorProto(name="common.proto", dependency=["deep.proto"])
DEEP = FileDescriptorProto(name="deep.proto")
ANNOTATIONS = FileDescriptorProto(name="google/api/annotations.proto")
BY_NAME = {file.name: file for file in (COMMON, DEEP, ANNOTATIONS)}


def one_by_one(question: reflection_pb2.ServerReflectionRequest) -> bytes:
    """A server that gives each file alone, as tonic does."""
    return described(MAIN if question.file_containing_symbol else BY_NAME[question.file_by_filename])


def without_annotations(missing: Callable[[], bytes]) -> Answer:
    def answer(question: reflection_pb2.ServerReflectionRequest) -> bytes:
        return missing() if question.file_by_filename == ANNOTATIONS.name else one_by_one(question)

    return answer


def stream_ends_not_found() -> bytes:
    raise CallFailed(Status(Code.NOT_FOUND, "no such file"))


async def names(server: Server) -> list[str] | None:
    files = await fetch(server.exchange, SYMBOL)
    return None if files is None else sorted(file.name for file in files)


async def test_imports_that_come_along_are_not_asked_for() -> None:
    server = Server(v1=lambda question: described(MAIN, COMMON, DEEP, ANNOTATIONS))
    assert await names(server) == sorted([MAIN.name, *BY_NAME])
    assert server.asked == [(V1, SYMBOL)]


async def test_imports_that_do_not_come_along_are_asked_for_by_file_name() -> None:
    server = Server(v1=one_by_one)
    assert await names(server) == sorted([MAIN.name, *BY_NAME])
    assert sorted(asked for _, asked in server.asked) == sorted([SYMBOL, *BY_NAME])


@pytest.mark.parametrize("missing", [stream_ends_not_found, lambda: error(5, "no such file")])
async def test_an_import_that_the_server_does_not_have_is_left_out(missing: Callable[[], bytes]) -> None:
    server = Server(v1=without_annotations(missing))
    assert await names(server) == [COMMON.name, DEEP.name, MAIN.name]


async def test_v1alpha_is_asked_where_v1_is_not_offered() -> None:
    server = Server(v1alpha=lambda question: described(DEEP))
    assert await names(server) == [DEEP.name]
    assert [path for path, _ in server.asked] == [V1, V1ALPHA]


@pytest.mark.parametrize("code", [Code.UNIMPLEMENTED, Code.PERMISSION_DENIED])
async def test_no_version_offered_is_none(code: Code) -> None:
    assert await names(Server(v1=code, v1alpha=code)) is None


async def test_a_service_that_reflection_does_not_know_is_none() -> None:
    server = Server(v1=lambda question: error(5, "symbol not found"), v1alpha=Code.NOT_FOUND)
    assert await names(server) is None


@pytest.mark.parametrize(
    "code", [Code.UNAVAILABLE, Code.UNAUTHENTICATED, Code.DEADLINE_EXCEEDED, Code.UNKNOWN]
)
async def test_any_other_failure_is_for_later_and_no_guess(code: Code) -> None:
    with pytest.raises(CallFailed) as failure:
        await names(Server(v1=code, v1alpha=lambda question: described(DEEP)))
    assert failure.value.status.code is code


async def test_an_error_inside_an_answer_is_for_later() -> None:
    with pytest.raises(CallFailed, match="reflection answered error 13: broken"):
        await names(Server(v1=lambda question: error(13, "broken")))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff",
        reflection_pb2.ServerReflectionResponse(
            file_descriptor_response={"file_descriptor_proto": [b"\xff\xff\xff"]}
        ).SerializeToString(),
    ],
)
async def test_garbage_is_for_later(garbage: bytes) -> None:
    with pytest.raises(CallFailed, match="cannot be decoded"):
        await names(Server(v1=lambda question: garbage))


async def test_a_chain_of_imports_without_end_is_given_up() -> None:
    count = 0

    def endless(question: reflection_pb2.ServerReflectionRequest) -> bytes:
        nonlocal count
        count += 1
        return described(FileDescriptorProto(name=f"{count}.proto", dependency=[f"{count + 1}.proto"]))

    with pytest.raises(ContractMismatch, match="do not end"):
        await names(Server(v1=endless))
    assert count <= 501


async def test_answers_of_endless_size_are_given_up() -> None:
    large = FileDescriptorProto(name="large.proto", package="x" * 10_000_000, dependency=list("abcdefgh"))
    server = Server(v1=lambda question: described(large))
    with pytest.raises(ContractMismatch, match="do not end"):
        await names(server)
    assert len(server.asked) < 8


async def test_a_server_that_answers_with_another_file_than_asked_for_is_not_asked_for_ever() -> None:
    server = Server(v1=lambda question: described(MAIN))
    assert await names(server) == [MAIN.name]
    assert len(server.asked) == 3
