"""Fuzz target: the descriptors of a hostile server, from its reflection's answers to calls that are encoded by them."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError, EncodeError
from grpc_reflection.v1alpha import reflection_pb2

from shipper.ignite import wanted
from shipper.ignite.contract import Contract, ContractMismatch, Source, derive
from shipper.ignite.decode import EventDecoder, LogDecoder
from shipper.ignite.framing import Messages
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.reflection import fetch
from shipper.ignite.status import CallFailed, Code
from shipper.ignite.wanted import Shape
from tests.fuzz.target import Target, awaited

BETWEEN: Final = b"\xc0\xde"  # two answers
_VALUES: Final = {Shape.TEXT: "x", Shape.INT: 1_000, Shape.BOOL: True}
_SAMPLES: Final = Messages([b"\x08\x01\x12\x03pod\x18\x01\x22\x02hi", b"\x12\x00", b"", b"\xff"])


async def _fetched(answers: list[bytes]) -> str:
    asked = 0

    async def exchange(path: str, message: bytes) -> bytes:
        nonlocal asked
        asked += 1
        assert asked < 3_000, "it asks without end"
        return answers[(asked - 1) % len(answers)]

    try:
        files = await fetch(exchange, wanted.SERVICE)
        if files is None:
            return "none"
        contract = derive(files, Source.REFLECTION)
    except CallFailed as failed:
        assert len(failed.status.message) < 1_000
        assert failed.status.code is not Code.OK
        return failed.status.code.name
    except ContractMismatch as mismatch:
        return str(mismatch)[:30]
    _used(contract)
    return f"{min(len(contract.calls), 2)} calls, {min(len(contract.unfit), 2)} unfit"


def _used(contract: Contract) -> None:
    """What is spoken by it afterwards raises nothing: requests are encoded, messages decoded."""
    for name, call in contract.calls.items():
        fields = {
            each.name: _VALUES[each.shape] for each in wanted.METHODS[name].request if each.shape in _VALUES
        }
        contract.encode(name, **fields)
        if name == "StreamAppLogs":
            LogDecoder(call.response, "pod").decode(_SAMPLES)
        if name == "StreamAppEvents":
            EventDecoder(call.response).decode(_SAMPLES)


def reflected(data: bytes) -> str:
    """A contract, or CallFailed, or ContractMismatch."""
    return awaited(_fetched(data.split(BETWEEN)))


def files(data: bytes) -> str:
    """The same from one file that can be read as such, which random bytes seldom are inside an answer."""
    try:
        file = FileDescriptorProto.FromString(data)
        answer = _answer(file)
    except (DecodeError, EncodeError):
        return "no file"
    return awaited(_fetched([answer]))


def _answer(*declared: FileDescriptorProto) -> bytes:
    return reflection_pb2.ServerReflectionResponse(
        file_descriptor_response={"file_descriptor_proto": [file.SerializeToString() for file in declared]}
    ).SerializeToString()


def _small() -> FileDescriptorProto:
    """The bundled file without what is not wanted, so that a change is likely to hit something."""
    file = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    file.ClearField("options")
    file.ClearField("source_code_info")
    keep = {"StreamAppLogs", "StreamAppEvents"}
    for service in file.service:
        kept = [method for method in service.method if method.name in keep]
        del service.method[:]
        service.method.extend(kept)
    used = {
        name.rpartition(".")[2]
        for service in file.service
        for each in service.method
        for name in (each.input_type, each.output_type)
    }
    messages = [message for message in file.message_type if message.name in used]
    del file.message_type[:]
    file.message_type.extend(messages)
    return file


_FULL: Final = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
_NOT_FOUND: Final = reflection_pb2.ServerReflectionResponse(
    error_response={"error_code": 5, "error_message": "no such symbol"}
).SerializeToString()
_REFUSED: Final = reflection_pb2.ServerReflectionResponse(
    error_response={"error_code": 7, "error_message": "\n" * 9 + "x" * 900}
).SerializeToString()
_IMPORTS: Final = FileDescriptorProto(name="a.proto", dependency=["b.proto", "c.proto"])
_WORDS: Final = (
    b"\x18\x01",
    b"\x18\xff\xff\xff\xff\x0f",
    b"\x20\x03",
    b"\x28\x0b",
    b"\x28\x0e",
    b"\x32\x02.x",
    b"string",
    b"line",
    b"timestamp_ms",
    b".ignite",
    BETWEEN,
    _NOT_FOUND,
    b"\x1a\x07c.proto",
)

TARGETS: Final = (
    Target(
        "reflection",
        "answers of a hostile server's reflection",
        [
            _answer(_small()),
            _answer(_IMPORTS) + BETWEEN + _answer(_small()),
            _NOT_FOUND,
            _REFUSED,
            BETWEEN.join(
                _answer(FileDescriptorProto(name=f"{n}", dependency=[f"{n + 1}"])) for n in range(9)
            ),
        ],
        reflected,
        words=_WORDS,
    ),
    Target(
        "descriptors",
        "a hostile server's descriptor file",
        [_small().SerializeToString(), _FULL.SerializeToString()[:8_000]],
        files,
        words=_WORDS,
    ),
)
