"""The calls that a server offers, with message classes for the numbers that it has: from its own descriptors, or
from the bundled .proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message

from shipper.ignite import wanted
from shipper.ignite.declared import ContractMismatch, Declared
from shipper.ignite.pb import ignite_compute_pb2
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.twin import Twin, TwinMaker

__all__ = ["Call", "Contract", "ContractMismatch", "Source", "Twin", "bundled", "derive", "offered"]


class Source(Enum):
    """Where the numbers come from."""

    REFLECTION = "server reflection"
    BUNDLED = "the bundled .proto"


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC with the classes to speak it."""

    name: str
    path: str
    request: type[Any]
    response: Twin


@dataclass(frozen=True, slots=True)
class Contract:
    """Every call of a service that the server offers, by method name, and where the numbers come from.

    `unfit` names fields that are read as absent, because the server's are of another shape than wanted, and calls
    that are left out because their messages lack something.
    """

    source: Source
    calls: Mapping[str, Call]
    unfit: tuple[str, ...] = ()

    def encode(self, method: str, **fields: object) -> bytes:
        """The request message of a method. Fields that the server's request does not have are ones that are not
        needed; the server skips them as unknown.
        """
        message: Message = self.calls[method].request(**fields)
        return message.SerializeToString()


def offered(contract: Contract, method: str) -> Call:
    """A call of a contract. Raises CallFailed where the server does not have it."""
    call = contract.calls.get(method)
    if call is None:
        name = f"{wanted.METHODS[method].service}/{method}"
        raise CallFailed(Status(Code.UNIMPLEMENTED, f"the server has no method {name}"))
    return call


def bundled(service: str = wanted.SERVICE) -> Contract:
    """The contract of proto/ignite_compute.proto, for servers without reflection."""
    file = FileDescriptorProto.FromString(ignite_compute_pb2.DESCRIPTOR.serialized_pb)
    return derive([file], Source.BUNDLED, service)


def derive(files: Iterable[FileDescriptorProto], source: Source, service: str = wanted.SERVICE) -> Contract:
    """Build the contract from a server's files, in any order. Raises ContractMismatch where they lack something
    needed.

    Methods that the server does not have are left out; calling one is the caller's UNIMPLEMENTED.
    """
    declared = Declared.by(files)
    methods = {method.name: method for method in declared.service(service).method}
    maker = TwinMaker(declared)
    calls: dict[str, Call] = {}
    for name, want in wanted.METHODS.items():
        if want.service != service or name not in methods:
            continue
        try:
            request = maker.twin(methods[name].input_type, want.request).text
            response = maker.twin(methods[name].output_type, want.response)
        except ContractMismatch as mismatch:
            if not want.optional:
                raise
            maker.unfit.add(f"{service}/{name} ({mismatch})")
        else:
            calls[name] = Call(name, f"/{service}/{name}", request, response)
    return Contract(source, calls, tuple(sorted(maker.unfit)))
