"""From a server's descriptors to classes that decode by field name, whatever the numbers, types and files are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from shipper.emulator import Scenario
from shipper.emulator.descriptors import Schema
from shipper.ignite.contract import Contract, ContractMismatch, Source, bundled, derive
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.wanted import BUILD_SERVICE

METHODS = {
    "ListApps",
    "ListAppReplicas",
    "GetAppLogs",
    "StreamAppLogs",
    "GetAppEvents",
    "StreamAppEvents",
    "GetDraftInfo",
    "GetBuildLog",
    "StreamCompileLogs",
}


def files() -> list[FileDescriptorProto]:
    return [FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)]


def message(file: FileDescriptorProto, name: str) -> DescriptorProto:
    return next(each for each in file.message_type if each.name == name)


def field(file: FileDescriptorProto, name: str) -> FieldDescriptorProto:
    message_name, _, field_name = name.partition(".")
    return next(each for each in message(file, message_name).field if each.name == field_name)


def changed(change: Callable[[FileDescriptorProto], object]) -> Contract:
    server = files()
    change(server[0])
    return derive(server, Source.REFLECTION)


def without(name: str) -> Callable[[FileDescriptorProto], None]:
    def remove(file: FileDescriptorProto) -> None:
        message(file, name.partition(".")[0]).field.remove(field(file, name))

    return remove


def round_trip(contract: Contract, schema: Schema) -> None:
    """What the server encodes with its numbers is read by name, in all three forms."""
    line = schema.message("LogLine")(
        timestamp_ms=5,
        replica_id="pod",
        stream=schema.number("LogStream", "LOG_STREAM_STDERR"),
        line=b"hello",
    )
    twin = contract.calls["StreamAppLogs"].response
    wire = line.SerializeToString()
    read = twin.text.FromString(wire)
    assert (read.timestamp_ms, read.replica_id, read.line) == (5, "pod", "hello")
    assert twin.enums["stream"][read.stream] == "LOG_STREAM_STDERR"
    assert twin.raw.FromString(wire).line == b"hello"
    assert list(twin.columns.FromString(wire + wire).line) == ["hello", "hello"]


def test_the_bundled_proto_has_every_call() -> None:
    contract = bundled()
    assert contract.calls.keys() == METHODS
    assert contract.source is Source.BUNDLED
    assert contract.unfit == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_server_whose_numbers_all_differ_is_read_by_name(seed: int) -> None:
    schema = Schema(Scenario(renumber=seed))
    round_trip(derive(schema.files, Source.REFLECTION), schema)


def test_requests_are_encoded_with_the_servers_numbers() -> None:
    schema = Schema(Scenario(renumber=3))
    contract = derive(schema.files, Source.REFLECTION)
    wire = contract.encode(
        "StreamAppLogs", organization_name="acme", app_name="a", replica_id="pod", from_start=True
    )
    sent = schema.message("StreamAppLogsRequest").FromString(wire)
    assert (sent.organization_name, sent.app_name, sent.replica_id, sent.from_start) == (
        "acme",
        "a",
        "pod",
        True,
    )


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_files_may_come_in_any_order(order: slice) -> None:
    schema = Schema(Scenario(renumber=1, split_files=True))
    round_trip(derive(list(schema.files)[order], Source.REFLECTION), schema)


@pytest.mark.parametrize("kind", ["string", "bytes"])
def test_a_line_is_text_whether_it_is_declared_as_string_or_bytes(kind: str) -> None:
    schema = Schema(Scenario(declare_line=kind))
    round_trip(derive(schema.files, Source.REFLECTION), schema)


def test_an_import_that_nothing_needs_may_be_missing() -> None:
    contract = changed(lambda file: file.dependency.append("google/api/annotations.proto"))
    assert contract.calls.keys() == METHODS


def test_a_method_that_the_server_lacks_is_left_out() -> None:
    def remove(file: FileDescriptorProto) -> None:
        service = file.service[0]
        service.method.remove(next(each for each in service.method if each.name == "StreamAppEvents"))

    assert changed(remove).calls.keys() == METHODS - {"StreamAppEvents"}


def test_the_bundled_proto_has_the_calls_of_builds() -> None:
    assert bundled(BUILD_SERVICE).calls.keys() == {"ListBuilds", "StreamBuildLogs"}


def test_what_builds_need_and_the_server_lacks_leaves_out_that_call_alone_and_is_named() -> None:
    contract = changed(without("DraftInfo.deploy_id"))
    assert contract.calls.keys() == METHODS - {"GetDraftInfo"}
    assert contract.unfit == (
        "dodil.ignite.v1.ComputeService/GetDraftInfo (the server's descriptors have no field "
        "'dodil.ignite.v1.DraftInfo.deploy_id')",
    )


def test_a_server_without_the_build_service_has_no_contract_for_it() -> None:
    server = files()
    del server[0].service[1]
    with pytest.raises(ContractMismatch, match="BuildService"):
        derive(server, Source.REFLECTION, BUILD_SERVICE)


def test_a_message_inside_a_message_is_read_by_name() -> None:
    schema = Schema(Scenario(renumber=4))
    wire = schema.message("GetDraftInfoResponse")(draft={"deploy_id": "dpl_1", "created_at_ms": 7})
    twin = derive(schema.files, Source.REFLECTION).calls["GetDraftInfo"].response
    draft = twin.text.FromString(wire.SerializeToString()).draft
    assert (draft.deploy_id, draft.created_at_ms, draft.image_ref) == ("dpl_1", 7, "")


@pytest.mark.parametrize("name", ["LogLine.timestamp_ms", "LogLine.line", "StreamAppLogsRequest.replica_id"])
def test_a_needed_field_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ContractMismatch, match=rf"dodil\.ignite\.v1\.{name}"):
        changed(without(name))


@pytest.mark.parametrize("name", ["LogLine.stream", "AppEvent.severity", "AppReplica.node_name"])
def test_a_field_that_is_not_needed_reads_as_absent(name: str) -> None:
    contract = changed(without(name))
    assert contract.unfit == ()
    event = contract.calls["StreamAppEvents"].response.text.FromString(
        pb.AppEvent(timestamp_ms=1, severity="Warning").SerializeToString()
    )
    assert event.severity == ("" if name == "AppEvent.severity" else "Warning")


def test_a_needed_field_of_another_shape_is_named() -> None:
    def as_text(file: FileDescriptorProto) -> None:
        field(file, "LogLine.timestamp_ms").type = FieldDescriptorProto.TYPE_STRING

    with pytest.raises(ContractMismatch, match=r"LogLine\.timestamp_ms. is not the int"):
        changed(as_text)


def test_another_field_of_another_shape_reads_as_absent_and_is_reported() -> None:
    def as_flag(file: FileDescriptorProto) -> None:
        field(file, "AppEvent.severity").type = FieldDescriptorProto.TYPE_BOOL

    assert changed(as_flag).unfit == ("dodil.ignite.v1.AppEvent.severity",)


def test_an_enum_that_the_server_declares_as_text_is_read() -> None:
    def as_text(file: FileDescriptorProto) -> None:
        field(file, "LogLine.stream").type = FieldDescriptorProto.TYPE_STRING
        field(file, "LogLine.stream").ClearField("type_name")

    twin = changed(as_text).calls["StreamAppLogs"].response
    assert twin.text(stream="LOG_STREAM_STDOUT").stream == "LOG_STREAM_STDOUT"
    assert twin.enums == {}


def hostile() -> Sequence[tuple[str, Callable[[FileDescriptorProto], object]]]:
    def number(value: int) -> Callable[[FileDescriptorProto], None]:
        def change(file: FileDescriptorProto) -> None:
            field(file, "LogLine.line").number = value

        return change

    def astray(file: FileDescriptorProto) -> None:
        file.service[0].method[0].input_type = ".nowhere.Message"

    def lost_rows(file: FileDescriptorProto) -> None:
        field(file, "GetAppLogsResponse.lines").type_name = ".nowhere.LogLine"

    def lost_enum(file: FileDescriptorProto) -> None:
        field(file, "LogLine.stream").type_name = ".nowhere.LogStream"

    return [
        ("number zero", number(0)),
        ("negative number", number(-1)),
        ("number beyond protobuf's", number(2**30)),
        ("one number twice", number(1)),
        ("unknown request type", astray),
        ("unknown row type", lost_rows),
        ("unknown enum", lost_enum),
        ("other service", lambda file: file.service[0].__setattr__("name", "Other")),
        ("nothing", lambda file: file.Clear()),
    ]


@pytest.mark.parametrize(("what", "change"), hostile())
def test_descriptors_that_cannot_be_used_are_a_mismatch_and_no_crash(
    what: str, change: Callable[[FileDescriptorProto], object]
) -> None:
    with pytest.raises(ContractMismatch):
        changed(change)
