"""Message classes of our own for the server's messages: the wanted fields alone, with the server's numbers and
wire types.

Twins have one shape whatever the server's types are named: texts are `str`, enums plain numbers with a table of
names beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from shipper.ignite.declared import ContractMismatch, Declared, fields_of
from shipper.ignite.wanted import Shape, Wanted

_Field = FieldDescriptorProto
_TEXTS: Final = frozenset({_Field.TYPE_STRING, _Field.TYPE_BYTES})
_INTEGERS: Final = frozenset(
    {
        _Field.TYPE_INT32,
        _Field.TYPE_INT64,
        _Field.TYPE_UINT32,
        _Field.TYPE_UINT64,
        _Field.TYPE_SINT32,
        _Field.TYPE_SINT64,
        _Field.TYPE_FIXED32,
        _Field.TYPE_FIXED64,
        _Field.TYPE_SFIXED32,
        _Field.TYPE_SFIXED64,
    }
)
_FITS: Final = {
    Shape.TEXT: _TEXTS,
    Shape.INT: _INTEGERS,
    Shape.BOOL: frozenset({_Field.TYPE_BOOL}),
    Shape.ENUM: frozenset({_Field.TYPE_ENUM}) | _INTEGERS | _TEXTS,  # that these are enums is inferred
    Shape.ROW: frozenset({_Field.TYPE_MESSAGE}),
    Shape.ROWS: frozenset({_Field.TYPE_MESSAGE}),
}
_ABSENT_TYPES: Final = {
    Shape.TEXT: _Field.TYPE_STRING,
    Shape.INT: _Field.TYPE_INT64,
    Shape.BOOL: _Field.TYPE_BOOL,
    Shape.ENUM: _Field.TYPE_INT32,
}
_UNUSED: Final = 500_000_000  # numbers for what the server does not have: above what anyone gives by hand


class Form(Enum):
    """The classes that a twin has."""

    TEXT = "Text"
    RAW = "Raw"
    COLUMNS = "Columns"


@dataclass(frozen=True, slots=True)
class Twin:
    """Classes for one message. `text` reads one; `raw` reads the same wire with texts as bytes, for what is not
    UTF-8; `columns` reads many laid end to end, each field as a list (nested rows are left out).

    `enums` maps the names of enum fields to their value tables (number to wire name).
    """

    text: type[Any]
    raw: type[Any]
    columns: type[Any]
    enums: Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class TwinMaker:
    """Makes twins of what `declared` has. Raises ContractMismatch for a needed field that is missing or misshapen;
    `unfit` collects those that are read as absent for their shape.
    """

    declared: Declared
    unfit: set[str] = field(default_factory=set)

    def twin(self, reference: str, wanted: tuple[Wanted, ...]) -> Twin:
        """All classes for the message that `reference` names."""
        file = FileDescriptorProto(name="twin.proto", package="twin", syntax="proto3")
        enums: dict[str, dict[int, str]] = {}
        for form in Form:
            into = file.message_type.add(name=form.value)
            self._declare(into, f".twin.{form.value}", reference, wanted, form, enums)
        try:
            pool = descriptor_pool.DescriptorPool()
            pool.Add(file)
        except (TypeError, ValueError) as error:  # numbers that cannot be, or one number twice
            raise ContractMismatch(
                f"the server's descriptor of {reference.lstrip('.')!r} cannot be used: {error}"
            ) from error
        text, raw, columns = (
            message_factory.GetMessageClass(pool.FindMessageTypeByName(f"twin.{form.value}")) for form in Form
        )
        return Twin(text, raw, columns, enums)

    def _declare(
        self,
        into: DescriptorProto,
        path: str,
        reference: str,
        wanted: tuple[Wanted, ...],
        form: Form,
        enums: dict[str, dict[int, str]],
    ) -> None:
        theirs = fields_of(self.declared.message(reference))
        for index, want in enumerate(wanted):
            source = self._fitting(reference, theirs.get(want.name), want)
            if want.shape in (Shape.ROW, Shape.ROWS):
                if source is None or form is Form.COLUMNS:
                    continue
                row = into.nested_type.add(name=f"Row{index}")
                self._declare(row, f"{path}.{row.name}", source.type_name, want.rows, form, enums)
                into.field.add(
                    name=want.name,
                    number=source.number,
                    type=_Field.TYPE_MESSAGE,
                    label=_Field.LABEL_REPEATED if want.shape is Shape.ROWS else _Field.LABEL_OPTIONAL,
                    type_name=f"{path}.{row.name}",
                )
                continue
            if source is not None and source.type == _Field.TYPE_ENUM:
                enums[want.name] = self.declared.enum_names(source.type_name)
            into.field.add(
                name=want.name,
                number=_UNUSED + index if source is None else source.number,
                type=_ABSENT_TYPES[want.shape] if source is None else _type_of(source.type, form),
                label=_Field.LABEL_REPEATED if form is Form.COLUMNS else _Field.LABEL_OPTIONAL,
            )

    def _fitting(
        self, reference: str, theirs: FieldDescriptorProto | None, want: Wanted
    ) -> FieldDescriptorProto | None:
        """The server's field, None where it has none that can be read as wanted."""
        name = f"{reference.lstrip('.')}.{want.name}"
        if theirs is None:
            if want.needed:
                raise ContractMismatch(f"the server's descriptors have no field {name!r}")
            return None
        repeated = theirs.label == _Field.LABEL_REPEATED
        if theirs.type in _FITS[want.shape] and repeated == (want.shape is Shape.ROWS):
            return theirs
        if want.needed:
            raise ContractMismatch(f"the server's field {name!r} is not the {want.shape.value} it should be")
        self.unfit.add(name)
        return None


def _type_of(theirs: _Field.Type.ValueType, form: Form) -> _Field.Type.ValueType:
    if theirs == _Field.TYPE_ENUM:
        return _Field.TYPE_INT32
    if theirs in _TEXTS:
        return _Field.TYPE_BYTES if form is Form.RAW else _Field.TYPE_STRING
    return theirs
