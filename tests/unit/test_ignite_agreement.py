"""Which contract is in force: asked for once, guessed with a warning, and a guess that can be taken back."""

from __future__ import annotations

import asyncio
import logging

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from shipper.ignite.agreement import Agreement
from shipper.ignite.contract import Source
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.status import OK, CallFailed, Code, Status


class Server:
    """Answers reflection as `status` says; `gate` holds answers back."""

    def __init__(self, status: Status = OK) -> None:
        self.status = status
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.file = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)

    async def exchange(self, path: str, message: bytes) -> bytes:
        self.asked += 1
        await self.gate.wait()
        if self.status is not OK:
            raise CallFailed(self.status)
        return reflection_pb2.ServerReflectionResponse(
            file_descriptor_response={"file_descriptor_proto": [self.file.SerializeToString()]}
        ).SerializeToString()

    def agreement(self) -> Agreement:
        return Agreement("http://ignite", self.exchange)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_the_server_is_asked_once_for_all_callers(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    agreement = server.agreement()
    contracts = await asyncio.gather(*(agreement.contract() for _ in range(20)))
    assert {contract.source for contract in contracts} == {Source.REFLECTION}
    assert server.asked == 1
    assert not agreement.guessing
    assert warnings(caplog) == []


async def test_callers_who_wait_for_one_attempt_share_its_failure_and_the_next_caller_tries_again() -> None:
    server = Server(Status(Code.UNAVAILABLE, "down"))
    server.gate.clear()
    agreement = server.agreement()
    async with asyncio.TaskGroup() as tasks:
        callers = [tasks.create_task(failure_of(agreement)) for _ in range(20)]
        await asyncio.sleep(0)
        server.gate.set()
    assert {caller.result() for caller in callers} == {Code.UNAVAILABLE}
    assert server.asked == 1
    server.status = OK
    assert (await agreement.contract()).source is Source.REFLECTION


async def failure_of(agreement: Agreement) -> Code:
    with pytest.raises(CallFailed) as failure:
        await agreement.contract()
    return failure.value.status.code


async def test_a_caller_that_is_cancelled_while_it_asks_leaves_it_to_the_next() -> None:
    server = Server()
    server.gate.clear()
    agreement = server.agreement()
    first = asyncio.create_task(agreement.contract())
    second = asyncio.create_task(agreement.contract())
    await asyncio.sleep(0)
    first.cancel()
    server.gate.set()
    assert (await second).source is Source.REFLECTION


async def test_without_reflection_the_bundled_proto_is_used_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(Status(Code.UNIMPLEMENTED))
    agreement = server.agreement()
    assert (await agreement.contract()).source is Source.BUNDLED
    assert agreement.guessing
    agreement.failed(Status(Code.UNIMPLEMENTED))
    await agreement.contract()
    assert len(warnings(caplog)) == 1
    assert "offers no gRPC reflection" in warnings(caplog)[0]


async def test_a_guess_made_of_a_proxys_page_is_taken_back_when_the_server_is_there() -> None:
    page = Status(Code.UNIMPLEMENTED, "HTTP 404", genuine=False)
    server = Server(page)
    agreement = server.agreement()
    await agreement.contract()
    agreement.failed(page)
    server.status = OK
    assert (await agreement.contract()).source is Source.REFLECTION


async def test_a_guess_that_worked_stays() -> None:
    server = Server(Status(Code.UNIMPLEMENTED))
    agreement = server.agreement()
    await agreement.contract()
    agreement.succeeded()
    agreement.failed(Status(Code.UNIMPLEMENTED))
    server.status = OK
    assert (await agreement.contract()).source is Source.BUNDLED


async def test_a_refusal_while_guessing_says_that_the_request_may_have_been_misread() -> None:
    agreement = Server(Status(Code.UNIMPLEMENTED)).agreement()
    await agreement.contract()
    assert "misread" in agreement.failed(Status(Code.NOT_FOUND, "no organization")).message
    assert agreement.failed(Status(Code.UNAVAILABLE, "down")).message == "down"
    agreement.succeeded()
    assert agreement.failed(Status(Code.NOT_FOUND, "no app")).message == "no app"


async def test_fields_that_are_not_understood_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    event = next(message for message in server.file.message_type if message.name == "AppEvent")
    severity = next(field for field in event.field if field.name == "severity")
    severity.type = FieldDescriptorProto.TYPE_BOOL
    agreement = server.agreement()
    await agreement.contract()
    await agreement.contract()
    assert [text.endswith("dodil.ignite.v1.AppEvent.severity") for text in warnings(caplog)] == [True]
