"""The descriptors that the emulator serves by: the bundled .proto, changed as a scenario wants it, in its own pool."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from shipper.emulator.scenario import Scenario
from shipper.ignite.pb import ignite_compute_pb2

PACKAGE: Final = "dodil.ignite.v1"
SERVICE: Final = f"{PACKAGE}.ComputeService"
BUILD_SERVICE: Final = f"{PACKAGE}.BuildService"
_OF_BUILDS: Final = ("GetDraftInfo", "GetBuildLog", "StreamCompileLogs")

# Names of our own, so that a world has more to tell than the documented values: the bundled .proto does not know them.
_EXTRA_VALUES: Final = {
    "ReplicaStatus": ("STATUS_PENDING", "STATUS_TERMINATING", "STATUS_FAILED"),
    "AppEventKind": (
        "APP_EVENT_KIND_SCHEDULED", "APP_EVENT_KIND_IMAGE_PULLED", "APP_EVENT_KIND_STARTED", "APP_EVENT_KIND_KILLING",
        "APP_EVENT_KIND_CRASHED", "APP_EVENT_KIND_PROBE_FAILED", "APP_EVENT_KIND_EVICTED", "APP_EVENT_KIND_SLEEP",
        "APP_EVENT_KIND_WAKE",
    ),
}  # fmt: skip


class Schema:
    """One consistent set of descriptors: message classes by name, enum numbers by name, and the files for reflection.

    The classes take `LogLine.line` as bytes whatever the files declare: the wire is the same, and an app may print
    what is not UTF-8.
    """

    def __init__(self, scenario: Scenario) -> None:
        compute = _copy(ignite_compute_pb2.DESCRIPTOR.serialized_pb)
        _extend_enums(compute)
        if not scenario.builds:
            _leave_out_builds(compute)
        if scenario.renumber is not None:
            _renumber(compute, random.Random(scenario.renumber))
        wire = _copy(compute.SerializeToString())
        _declare_line(wire, "bytes")
        _declare_line(compute, scenario.declare_line)
        self.files: Sequence[descriptor_pb2.FileDescriptorProto] = (
            _split(compute) if scenario.split_files else (compute,)
        )
        self._pool = descriptor_pool.DescriptorPool()
        self._pool.Add(wire)
        self._enums = {
            enum.name: {value.name: value.number for value in enum.value} for enum in wire.enum_type
        }

    def message(self, name: str) -> Any:
        """The message class of that name."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))

    def number(self, enum: str, value: str | int) -> int:
        """The number of an enum value; a number stays what it is."""
        return value if isinstance(value, int) else self._enums[enum][value]


def _copy(serialized: bytes) -> descriptor_pb2.FileDescriptorProto:
    return descriptor_pb2.FileDescriptorProto.FromString(serialized)


def _extend_enums(file: descriptor_pb2.FileDescriptorProto) -> None:
    for enum in file.enum_type:
        number = max(value.number for value in enum.value)
        for name in _EXTRA_VALUES.get(enum.name, ()):
            number += 1
            enum.value.add(name=name, number=number)


def _leave_out_builds(file: descriptor_pb2.FileDescriptorProto) -> None:
    """The messages may stay: who offers no call of them offers nothing."""
    compute, _ = file.service
    for method in [each for each in compute.method if each.name in _OF_BUILDS]:
        compute.method.remove(method)
    del file.service[1:]


def _renumber(file: descriptor_pb2.FileDescriptorProto, rng: random.Random) -> None:
    """Give every field another number and every enum value too, but for the zero that proto3 asks for.

    Numbers come from a small range, so that most of them mean another field in the bundled .proto: the nastiest case.
    """
    for message in _messages(file.message_type):
        numbers = _derange([field.number for field in message.field], rng)
        for field, number in zip(message.field, numbers, strict=True):
            field.number = number
    for enum in file.enum_type:
        values = enum.value[1:]
        for value, number in zip(values, _derange([value.number for value in values], rng), strict=True):
            value.number = number


def _messages(
    messages: Sequence[descriptor_pb2.DescriptorProto],
) -> Iterator[descriptor_pb2.DescriptorProto]:
    for message in messages:
        if not message.options.map_entry:  # its key is 1 and its value 2 by definition
            yield message
        yield from _messages(message.nested_type)


def _derange(numbers: list[int], rng: random.Random) -> list[int]:
    """As many distinct numbers, none of them where it was."""
    while True:
        others = rng.sample(range(1, 2 * len(numbers) + 4), len(numbers))
        if all(other != number for other, number in zip(others, numbers, strict=True)):
            return others


def _declare_line(file: descriptor_pb2.FileDescriptorProto, kind: str) -> None:
    types = {
        "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
        "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    }
    (line,) = [f for m in file.message_type if m.name == "LogLine" for f in m.field if f.name == "line"]
    line.type = types[kind]


def _split(
    file: descriptor_pb2.FileDescriptorProto,
) -> tuple[descriptor_pb2.FileDescriptorProto, descriptor_pb2.FileDescriptorProto]:
    """Move the enums into an imported file; the platform's own sources have an ignite_common.proto too.

    https://docs.dodil.io/ignite/compute/concepts names both files.
    """
    common = descriptor_pb2.FileDescriptorProto(
        name="ignite_common.proto", package=file.package, syntax=file.syntax, enum_type=file.enum_type
    )
    compute = descriptor_pb2.FileDescriptorProto()
    compute.CopyFrom(file)
    del compute.enum_type[:]
    compute.dependency.append(common.name)
    return compute, common
