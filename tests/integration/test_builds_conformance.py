"""What the `Builds` port promises, over each transport and each form in which the HTTP gateway may stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shipper.emulator import Reflection, Scenario
from shipper.ignite.port import Build, Builds, Draft, Output
from shipper.ignite.status import CallFailed, Code
from shipper.model import App
from tests.servers.ways import FORMS, GRPC, WAYS, Way, reached

APP = App("acme-corp", "checkout")

every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_stream = pytest.mark.parametrize("way", [*WAYS, *FORMS], ids=str)


async def read(builds: Builds, build_id: str, app: App = APP) -> tuple[bytes, bool]:
    async with builds.get_build_log(app, build_id) as log:
        data = b"".join([piece async for piece in log])
        return data, log.found


async def all_of(outputs: AsyncIterator[Output]) -> list[tuple[int, bytes]]:
    """Everything until the end of a stream."""
    async with asyncio.timeout(10):
        return [pair async for each in outputs for pair in zip(each.times, each.pieces, strict=True)]


@every_stream
async def test_a_draft_names_its_compile(way: Way) -> None:
    async with reached(way) as at:
        checkout = at.ignite.app("checkout")
        assert await at.platform.builds.get_draft(APP) == Draft()
        checkout.compile("dpl_01HZX9", ts=5)
        assert await at.platform.builds.get_draft(APP) == Draft("dpl_01HZX9", "", 5)


@every_stream
async def test_a_compile_is_streamed_byte_by_byte_with_its_times(way: Way) -> None:
    async with reached(way) as at:
        compiled = at.ignite.app("checkout").compile("dpl_01HZX9")
        compiled.write(b"half \xc3", ts=1_716_894_000_123)
        async with at.platform.builds.stream_compile_logs("dpl_01HZX9") as outputs:
            compiled.write(b"\xa4\n\xff\x00", ts=-1)
            compiled.write(b"", ts=5)
            compiled.finish()
            found = await all_of(outputs)
        assert found == [(1_716_894_000_123, b"half \xc3"), (-1, b"\xa4\n\xff\x00"), (5, b"")]


@every_way
async def test_a_stream_that_does_not_begin_at_the_start_brings_what_is_new(way: Way) -> None:
    async with reached(way) as at:
        compiled = at.ignite.app("checkout").compile("dpl_1")
        compiled.print("old")
        async with at.platform.builds.stream_compile_logs("dpl_1", from_start=False) as outputs:
            compiled.print("new")
            compiled.finish()
            assert [data for _, data in await all_of(outputs)] == [b"new\n"]


@every_stream
async def test_builds_are_listed_over_all_pages(way: Way) -> None:
    async with reached(way, Scenario(page_size=3)) as at:
        builds = [at.ignite.app("checkout").build(ts=number) for number in range(1, 11)]
        builds[4].finish()
        status = {builds[4].build_id: "SUCCEEDED"}
        assert await at.platform.builds.list_builds() == [
            Build(one.build_id, "checkout", "checkout", status.get(one.build_id, "RUNNING"), one.created_ms)
            for one in builds
        ]
        assert at.ignite.calls.made["ListBuilds"] == 4


@every_stream
async def test_the_log_of_a_build_is_there_from_its_end_until_it_is_forgotten(way: Way) -> None:
    async with reached(way) as at:
        built = at.ignite.app("checkout").build("bld_01HZX9")
        built.print("Step 1/8: FROM python:3.12-slim", b"\xff\x00\r")
        assert await read(at.platform.builds, "bld_01HZX9") == (b"", False)  # it runs
        built.finish()
        assert await read(at.platform.builds, "bld_01HZX9") == (built.log, True)
        async with at.platform.builds.stream_build_logs("bld_01HZX9") as outputs:
            assert b"".join(data for _, data in await all_of(outputs)) == built.log
        built.forget()
        assert await read(at.platform.builds, "bld_01HZX9") == (b"", False)
        assert await read(at.platform.builds, "bld_never") == (b"", False)


@every_way
async def test_an_empty_log_that_is_there_is_found(way: Way) -> None:
    async with reached(way) as at:
        at.ignite.app("checkout").build("bld_1").finish()
        assert await read(at.platform.builds, "bld_1") == (b"", True)


@every_way
async def test_a_log_larger_than_a_message_may_be_comes_in_pieces(way: Way) -> None:
    async with reached(way) as at:
        built = at.ignite.app("checkout").build("bld_1")
        lines = 20_000 if way.http2 else 320_000  # the HTTP/2 of our tests is not the fastest
        built.write(b"compiling module number 123456789 of the standard library\n" * lines)
        built.finish()
        async with at.platform.builds.get_build_log(APP, "bld_1") as log:
            sizes = [len(piece) async for piece in log]
        assert log.found
        assert sum(sizes) == len(built.log)
        assert max(sizes) <= 1024 * 1024


@every_way
async def test_a_log_that_is_left_in_the_middle_disturbs_nothing(way: Way) -> None:
    async with reached(way) as at:
        built = at.ignite.app("checkout").build("bld_1")
        built.write(b"line\n" * 1_000_000)
        built.finish()
        for _ in range(3):
            async with at.platform.builds.get_build_log(APP, "bld_1") as log:
                async for _piece in log:
                    break
        async with at.platform.builds.get_build_log(APP, "bld_1") as log:
            assert sum([len(piece) async for piece in log]) == len(built.log)


FAILURES = [("UNAUTHENTICATED", Code.UNAUTHENTICATED), ("PERMISSION_DENIED", Code.PERMISSION_DENIED),
            ("UNAVAILABLE", Code.UNAVAILABLE), ("UNIMPLEMENTED", Code.UNIMPLEMENTED)]  # fmt: skip


@every_way
@pytest.mark.parametrize(("status", "code"), FAILURES)
async def test_every_call_of_builds_fails_with_its_status(way: Way, status: str, code: Code) -> None:
    async with reached(way) as at:
        checkout = at.ignite.app("checkout")
        checkout.compile("dpl_1").finish()
        checkout.build("bld_1").finish()
        builds = at.platform.builds
        fault = at.ignite.faults.refuse("*", status)

        async def stream(context: Any) -> None:
            async with context as outputs:
                await all_of(outputs)

        for call in (
            builds.get_draft(APP),
            builds.list_builds(),
            read(builds, "bld_1"),
            stream(builds.stream_compile_logs("dpl_1")),
            stream(builds.stream_build_logs("bld_1")),
        ):
            with pytest.raises(CallFailed) as failed:
                await call
            assert failed.value.status.code is code
        fault.lift()
        assert (await builds.get_draft(APP)).deploy_id == "dpl_1"
        assert await read(builds, "bld_1") == (b"", True)


@every_way
async def test_a_compile_that_is_not_there_is_not_found(way: Way) -> None:
    async with reached(way) as at:
        compiled = at.ignite.app("checkout").compile("dpl_1")
        compiled.finish()
        async with at.platform.builds.stream_compile_logs("dpl_1") as outputs:
            assert await all_of(outputs) == []
        compiled.retire()
        for deploy_id in ("dpl_1", "dpl_2"):
            with pytest.raises(CallFailed) as failed:
                async with at.platform.builds.stream_compile_logs(deploy_id):
                    pass
            assert failed.value.status.code is Code.NOT_FOUND


@every_way
async def test_a_cut_stream_fails_after_what_it_brought(way: Way) -> None:
    async with reached(way) as at:
        compiled = at.ignite.app("checkout").compile("dpl_1")
        compiled.print("one")
        async with at.platform.builds.stream_compile_logs("dpl_1") as outputs:
            first = await anext(outputs)
            assert first.pieces == [b"one\n"]
            at.ignite.faults.cut(method="StreamCompileLogs")
            with pytest.raises(CallFailed) as failed:
                await all_of(outputs)
        assert failed.value.status.code in (Code.UNAVAILABLE, Code.INTERNAL)


SCENARIOS = {
    "renumbered": Scenario(renumber=5),
    "guessed": Scenario(reflection=Reflection.OFF),
    "gzip": Scenario(gzip=True),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
async def test_over_grpc_numbers_come_from_the_server_and_messages_may_be_compressed(
    scenario: Scenario,
) -> None:
    async with reached(GRPC, scenario) as at:
        checkout, builds = at.ignite.app("checkout"), at.platform.builds
        compiled, built = checkout.compile("dpl_1", ts=5), checkout.build("bld_1", ts=6)
        compiled.write(b"one\n" * 100, ts=7)
        compiled.finish()
        built.write(b"two\n" * 100_000)
        built.finish()
        assert await builds.get_draft(APP) == Draft("dpl_1", "", 5)
        assert await builds.list_builds() == [Build("bld_1", "checkout", "checkout", "SUCCEEDED", 6)]
        assert await read(builds, "bld_1") == (built.log, True)
        async with builds.stream_compile_logs("dpl_1") as outputs:
            assert await all_of(outputs) == [(7, compiled.log)]


@pytest.mark.parametrize("way", [GRPC, WAYS[1]], ids=str)
async def test_a_platform_without_builds_says_so_and_serves_all_else(way: Way) -> None:
    async with reached(way, Scenario(builds=False)) as at:
        at.ignite.app("checkout").start_replica()
        builds = at.platform.builds
        for call in (builds.get_draft(APP), builds.list_builds(), read(builds, "bld_1")):
            with pytest.raises(CallFailed) as failed:
                await call
            assert failed.value.status.code is Code.UNIMPLEMENTED
        for stream in (builds.stream_compile_logs("dpl_1"), builds.stream_build_logs("bld_1")):
            with pytest.raises(CallFailed) as failed:
                async with stream:
                    pass
            assert failed.value.status.code is Code.UNIMPLEMENTED
        assert len(await at.platform.list_replicas(APP)) == 1
