"""The emulator's descriptors: names stay, numbers and types change as the scenario wants."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2

from shipper.emulator.descriptors import Schema
from shipper.emulator.scenario import Scenario
from shipper.ignite.pb import ignite_compute_pb2


def bundled() -> descriptor_pb2.FileDescriptorProto:
    return descriptor_pb2.FileDescriptorProto.FromString(ignite_compute_pb2.DESCRIPTOR.serialized_pb)


def numbers(file: descriptor_pb2.FileDescriptorProto) -> dict[str, int]:
    found = {f"{m.name}.{f.name}": f.number for m in file.message_type for f in m.field}
    return found | {f"{e.name}.{v.name}": v.number for e in file.enum_type for v in e.value}


@pytest.mark.parametrize("seed", range(20))
def test_renumbering_moves_every_field_and_every_enum_value_but_zero(seed: int) -> None:
    before = numbers(bundled())
    after = numbers(Schema(Scenario(renumber=seed)).files[0])
    assert before.keys() <= after.keys()
    assert {name for name in before if after[name] == before[name]} == {
        name for name, number in before.items() if number == 0
    }


def test_a_seed_gives_the_same_numbers_again() -> None:
    first, second = (Schema(Scenario(renumber=5)).files[0].SerializeToString() for _ in range(2))
    assert first == second


def test_without_renumbering_the_bundled_numbers_stay() -> None:
    after = numbers(Schema(Scenario()).files[0])
    assert numbers(bundled()).items() <= after.items()


def test_declaring_the_line_as_bytes_changes_the_files_and_not_the_wire() -> None:
    text, binary = Schema(Scenario()), Schema(Scenario(declare_line="bytes"))
    assert text.files[0] != binary.files[0]
    message = {"timestamp_ms": -5, "replica_id": "r", "stream": 2, "line": b"\xff"}
    assert (
        text.message("LogLine")(**message).SerializeToString()
        == binary.message("LogLine")(**message).SerializeToString()
    )


def test_a_split_schema_has_its_enums_in_an_imported_file() -> None:
    compute, common = Schema(Scenario(split_files=True)).files
    assert list(compute.dependency) == [common.name]
    assert not compute.enum_type
    assert {enum.name for enum in common.enum_type} > {"ReplicaStatus", "LogStream", "AppEventKind"}


def test_an_enum_value_that_no_descriptor_declares_can_be_sent_by_its_number() -> None:
    schema = Schema(Scenario(renumber=1))
    assert schema.number("AppEventKind", 57) == 57
    with pytest.raises(KeyError):
        schema.number("AppEventKind", "NO_SUCH_NAME")
