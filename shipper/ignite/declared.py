"""What a server's descriptor files declare, by full name.

No descriptor pool is made of a server's files: it would refuse them all for one import that nothing here needs
and that the server does not hand out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from shipper.errors import PlatformError

T = TypeVar("T")


class ContractMismatch(PlatformError):
    """The server's descriptors lack something that shipper cannot do without."""


@dataclass(frozen=True, slots=True)
class Declared:
    """Names begin with a dot, as references in descriptors are written. What is declared twice is what came first."""

    services: dict[str, ServiceDescriptorProto] = field(default_factory=dict)
    messages: dict[str, DescriptorProto] = field(default_factory=dict)
    enums: dict[str, EnumDescriptorProto] = field(default_factory=dict)

    @staticmethod
    def by(files: Iterable[FileDescriptorProto]) -> Declared:
        """Everything that these files declare."""
        declared = Declared()
        for file in files:
            scope = f".{file.package}" if file.package else ""
            for service in file.service:
                declared.services.setdefault(f"{scope}.{service.name}", service)
            declared._add(scope, file.message_type, file.enum_type)
        return declared

    def service(self, name: str) -> ServiceDescriptorProto:
        """The service of that full name (without a dot in front)."""
        return _found(self.services, f".{name}", "service")

    def message(self, reference: str) -> DescriptorProto:
        """The message that a method or field refers to."""
        return _found(self.messages, reference, "message")

    def enum_names(self, reference: str) -> dict[int, str]:
        """Number to name of the enum that a field refers to; of aliases the first."""
        names: dict[int, str] = {}
        for value in _found(self.enums, reference, "enum").value:
            names.setdefault(value.number, value.name)
        return names

    def _add(
        self, scope: str, messages: Iterable[DescriptorProto], enums: Iterable[EnumDescriptorProto]
    ) -> None:
        for enum in enums:
            self.enums.setdefault(f"{scope}.{enum.name}", enum)
        for message in messages:
            name = f"{scope}.{message.name}"
            self.messages.setdefault(name, message)
            self._add(name, message.nested_type, message.enum_type)


def fields_of(message: DescriptorProto) -> dict[str, FieldDescriptorProto]:
    """A message's fields by name."""
    return {field.name: field for field in message.field}


def _found(table: dict[str, T], name: str, kind: str) -> T:
    if name not in table:
        raise ContractMismatch(f"the server's descriptors do not declare the {kind} {name.lstrip('.')!r}")
    return table[name]
