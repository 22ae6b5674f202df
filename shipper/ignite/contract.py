"""Field names to numbers: message classes built from the descriptors that the server has (or from the bundled
.proto).

For every message that shipper reads, a twin is built that declares only the wanted fields, with the server's
numbers and wire types. Twins have one shape whatever the server's types are named: enums are plain numbers
with a table of names beside them. A second twin declares text as bytes: the same wire bytes then decode where
the text is not UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from shipper.errors import PlatformError
from shipper.ignite import wanted
from shipper.ignite.pb import ignite_compute_pb2
from shipper.ignite.wanted import Shape, Wanted

_Field = descriptor_pb2.FieldDescriptorProto
_INTEGERS: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED32,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED32,
        FieldDescriptor.TYPE_SFIXED64,
    }
)
_FITS: Final = {
    Shape.TEXT: frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}),
    Shape.INT: _INTEGERS,
    Shape.BOOL: frozenset({FieldDescriptor.TYPE_BOOL}),
    Shape.ENUM: frozenset({FieldDescriptor.TYPE_ENUM}) | _INTEGERS,
    Shape.ROWS: frozenset({FieldDescriptor.TYPE_MESSAGE}),
}
_DEFAULT_TYPES: Final = {
    Shape.TEXT: _Field.TYPE_STRING,
    Shape.INT: _Field.TYPE_INT64,
    Shape.BOOL: _Field.TYPE_BOOL,
    Shape.ENUM: _Field.TYPE_INT32,
}
_UNUSED: Final = (
    500_000_000  # field numbers for what the server does not have: above what anyone numbers by hand
)


class Source(Enum):
    """Where the numbers come from."""

    REFLECTION = "server reflection"
    BUNDLED = "the bundled .proto"


class ContractMismatch(PlatformError):
    """The server's descriptors lack something that shipper cannot do without."""


@dataclass(frozen=True, slots=True)
class Twin:
    """Classes for one message: `text` and `raw` read one message each, `texts` and `raws` read many as field
    1 (`items`).

    `enums` maps the names of enum fields to their value tables (number to wire name).
    """

    text: type[Any]
    raw: type[Any]
    texts: type[Any]
    raws: type[Any]
    enums: Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC with the classes to speak it."""

    name: str
    path: str
    request: type[Any]
    response: Twin


@dataclass(frozen=True, slots=True)
class Contract:
    """Every call that the server offers, by method name, and where the numbers come from."""

    source: Source
    calls: Mapping[str, Call]

    def encode(self, method: str, **fields: object) -> bytes:
        """The request message of a method; fields that the server's request does not have are left out
        silently only where `wanted` does not need them.
        """
        message: Message = self.calls[method].request(**fields)
        return message.SerializeToString()


def bundled() -> Contract:
    """The contract of proto/ignite_compute.proto, for servers without reflection."""
    file = descriptor_pb2.FileDescriptorProto.FromString(ignite_compute_pb2.DESCRIPTOR.serialized_pb)
    return derive([file], Source.BUNDLED)


def derive(files: Iterable[descriptor_pb2.FileDescriptorProto], source: Source) -> Contract:
    """Build the contract from a server's files, which must include all their dependencies, in any order.

    Methods that the server does not have are left out; calling one is the caller's UNIMPLEMENTED.
    """
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in _in_order(files):
            pool.Add(file)
        service = pool.FindServiceByName(wanted.SERVICE)
        calls = {
            name: _call(service.methods_by_name[name], method)
            for name, method in wanted.METHODS.items()
            if name in service.methods_by_name
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ContractMismatch(f"the server's descriptors cannot be used: {error}") from error
    return Contract(source, calls)


def _in_order(
    files: Iterable[descriptor_pb2.FileDescriptorProto],
) -> list[descriptor_pb2.FileDescriptorProto]:
    """Dependencies first; a pool takes them only so."""
    waiting = {file.name: file for file in files}
    done: list[descriptor_pb2.FileDescriptorProto] = []

    def visit(name: str) -> None:
        file = waiting.pop(name, None)
        if file is None:
            return
        for dependency in file.dependency:
            visit(dependency)
        done.append(file)

    while waiting:
        visit(next(iter(waiting)))
    return done


def _call(method: Any, want: wanted.Method) -> Call:
    request, _ = _twin_class(method.input_type, want.request, f"{want.name}Request", text_as_bytes=False)
    return Call(
        name=want.name,
        path=f"/{wanted.SERVICE}/{want.name}",
        request=request[0],
        response=_twin(method.output_type, want.response, want.name),
    )


def _twin(server: Descriptor, fields: tuple[Wanted, ...], name: str) -> Twin:
    (text, texts), enums = _twin_class(server, fields, name, text_as_bytes=False)
    (raw, raws), _ = _twin_class(server, fields, name, text_as_bytes=True)
    return Twin(text, raw, texts, raws, enums)


def _twin_class(
    server: Descriptor, fields: tuple[Wanted, ...], name: str, *, text_as_bytes: bool
) -> tuple[tuple[type[Any], type[Any]], dict[str, dict[int, str]]]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="twin", syntax="proto3")
    enums: dict[str, dict[int, str]] = {}
    item = file.message_type.add(name="Item")
    _declare(item, server, fields, enums, text_as_bytes=text_as_bytes)
    many = file.message_type.add(name="Items")
    many.field.add(
        name="items", number=1, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_REPEATED, type_name=".twin.Item"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName("twin.Item")),
        message_factory.GetMessageClass(pool.FindMessageTypeByName("twin.Items")),
    )
    return classes, enums


def _declare(
    into: descriptor_pb2.DescriptorProto,
    server: Descriptor,
    fields: tuple[Wanted, ...],
    enums: dict[str, dict[int, str]],
    *,
    text_as_bytes: bool,
) -> None:
    for index, want in enumerate(fields):
        theirs = server.fields_by_name.get(want.name)
        if theirs is None:
            if want.needed:
                raise ContractMismatch(f"message {server.full_name} has no field {want.name!r}")
            if want.shape is not Shape.ROWS:
                into.field.add(
                    name=want.name,
                    number=_UNUSED + index,
                    type=_DEFAULT_TYPES[want.shape],
                    label=_Field.LABEL_OPTIONAL,
                )
            continue
        if theirs.type not in _FITS[want.shape] or theirs.is_repeated != (want.shape is Shape.ROWS):
            raise ContractMismatch(
                f"field {server.full_name}.{want.name} is not the {want.shape.value} it should be"
            )
        field = into.field.add(
            name=want.name, number=theirs.number, type=theirs.type, label=_Field.LABEL_OPTIONAL
        )
        if theirs.message_type is not None:
            row = into.nested_type.add(name=f"Row{index}")
            _declare(row, theirs.message_type, want.rows, enums, text_as_bytes=text_as_bytes)
            field.label = _Field.LABEL_REPEATED
            field.type_name = f".twin.Item.Row{index}"
        elif want.shape is Shape.TEXT and text_as_bytes:
            field.type = _Field.TYPE_BYTES
        elif theirs.enum_type is not None:
            field.type = _Field.TYPE_INT32
            enums[want.name] = {value.number: value.name for value in theirs.enum_type.values}
