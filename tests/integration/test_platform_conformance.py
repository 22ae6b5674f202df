"""What the `Platform` port promises, over each transport and each form in which the HTTP gateway may stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TypeVar

import pytest

from shipper.emulator import Scenario
from shipper.emulator.streams import EVENTS
from shipper.ignite.port import Event, LogChunk
from shipper.model import App, Replica
from tests.servers.ways import FORMS, GRPC, WAYS, Way, reached

T = TypeVar("T")

APP = App("acme-corp", "checkout")
HOSTILE_NAMES = [
    "a/b", "..", ".", "...", "%", "%2F", "%2e%2e", "a?b=c", "a#b", "sp ace", "plus+plus", "a&b=c;d", "größe 🚀",
    "x" * 300, 'quo"te', "back\\slash", "-", "~", "a:b@c", "{braces}", "logs",
]  # fmt: skip

every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_stream = pytest.mark.parametrize("way", [*WAYS, *FORMS], ids=str)


def text_of(line: str | bytes) -> str:
    return line if isinstance(line, str) else line.decode("utf-8", "replace")


async def take(stream: AsyncIterator[LogChunk], count: int) -> list[tuple[int, str | None, str]]:
    """So many lines of a stream, with their times and streams."""
    rows: list[tuple[int, str | None, str]] = []
    async with asyncio.timeout(10):
        while len(rows) < count:
            chunk = await anext(stream)
            assert not chunk.undecodable
            rows += zip(chunk.times, chunk.streams, map(text_of, chunk.lines), strict=True)
    return rows


# ---- listings ----


@every_way
async def test_all_pages_of_the_apps_are_listed(way: Way) -> None:
    async with reached(way, Scenario(page_size=7)) as at:
        names = sorted(f"app-{number:03}" for number in range(50))
        for name in names:
            at.ignite.app(name)
        assert await at.platform.list_apps() == names
        assert at.ignite.calls.made["ListApps"] == 8


@every_stream
async def test_replicas_are_listed_with_all_that_the_platform_says(way: Way) -> None:
    async with reached(way) as at:
        one = at.ignite.app(APP.name).start_replica()
        two = at.ignite.app(APP.name).start_replica()
        two.crash()
        two.restart()
        expected = [
            Replica(
                app=APP,
                replica_id=each.replica_id,
                cluster_id=each.cluster_id,
                node_name=each.node_name,
                status=each.status,
                ready=each.ready,
                restart_count=each.restart_count,
                started_ms=each.started_ms,
            )
            for each in (one, two)
        ]
        assert await at.platform.list_replicas(APP) == expected


@every_way
async def test_an_app_without_replicas_has_an_empty_list(way: Way) -> None:
    async with reached(way) as at:
        at.ignite.app(APP.name)
        assert await at.platform.list_replicas(APP) == []


@every_way
async def test_names_of_every_kind_arrive_as_they_are(way: Way) -> None:
    async with reached(way) as at:
        for name in HOSTILE_NAMES:
            pod = at.ignite.app(name).start_replica()
            pod.print(f"of {name}")
        assert await at.platform.list_apps() == sorted(HOSTILE_NAMES)
        for name in HOSTILE_NAMES:
            app = App("acme-corp", name)
            (replica,) = await at.platform.list_replicas(app)
            page = await at.platform.get_logs(app, replica.replica_id)
            assert list(map(text_of, page.chunk.lines)) == [f"of {name}"]
            async with at.platform.stream_logs(app, replica.replica_id) as stream:
                assert [row[2] for row in await take(stream, 1)] == [f"of {name}"]


# ---- logs ----


@every_stream
async def test_recent_lines_are_read_with_times_streams_and_whether_they_were_cut(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("one", ts=1_716_894_000_123)
        pod.print("", ts=1_716_894_000_124, stream="stderr")
        pod.print('größe 🚀 \\ " { } [ ]', ts=1_716_894_000_125, stream="")
        page = await at.platform.get_logs(APP, pod.replica_id)
        assert not page.truncated
        assert page.chunk.times == [1_716_894_000_123, 1_716_894_000_124, 1_716_894_000_125]
        assert page.chunk.streams == ["stdout", "stderr", None]
        assert list(map(text_of, page.chunk.lines)) == ["one", "", 'größe 🚀 \\ " { } [ ]']
        page = await at.platform.get_logs(APP, pod.replica_id, 2)
        assert (len(page.chunk.times), page.truncated) == (2, True)


@every_stream
async def test_a_stream_brings_the_history_and_then_what_is_printed(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        lines = [f'line {number} }}{{ "," \\' for number in range(300)]
        for number, line in enumerate(lines[:200]):
            pod.print(line, ts=1_000 + number, stream="stderr" if number % 7 == 0 else "stdout")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            rows = await take(stream, 200)
            for number in range(200, 300):
                pod.print(lines[number], ts=1_000 + number)
                if number % 10 == 0:
                    rows += await take(stream, number + 1 - len(rows))
            rows += await take(stream, 300 - len(rows))
        assert [text for _, _, text in rows] == lines
        assert [time for time, _, _ in rows] == list(range(1_000, 1_300))
        assert {name for number, (_, name, _) in enumerate(rows) if number % 7 or number >= 200} == {"stdout"}


@every_stream
async def test_a_stream_ends_well_when_its_replica_does(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("the last word")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            assert [row[2] for row in await take(stream, 1)] == ["the last word"]
            pod.gone()
            async with asyncio.timeout(10):
                assert [chunk async for chunk in stream] == []


@every_stream
async def test_a_silent_stream_stays_open_whatever_keeps_it_alive(way: Way) -> None:
    style = replace(way, style=f"{way.style},keep-alive=0.01" if way.http else "")
    async with reached(style) as at:
        pod = at.ignite.app(APP.name).start_replica()
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(stream)
            pod.print("at last")
            assert [row[2] for row in await take(stream, 1)] == ["at last"]
        assert at.ignite.calls.made["StreamAppLogs"] == 1


@every_way
async def test_without_history_only_new_lines_come(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("old")
        async with at.platform.stream_logs(APP, pod.replica_id, from_start=False) as stream:
            await at.ignite.calls.until_open(replica_id=pod.replica_id)
            pod.print("new")
            assert [row[2] for row in await take(stream, 1)] == ["new"]


@every_stream
async def test_a_line_of_ten_mebibytes_arrives_whole_between_others(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        long = 'ab"\\c}{' * (10 * 1024 * 1024 // 7)
        for line in ("before", long, "after"):
            pod.print(line)
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            assert [row[2] for row in await take(stream, 3)] == ["before", long, "after"]


@every_way
async def test_a_stream_that_nobody_reads_stops_the_server(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        for number in range(40):
            pod.print(f"{number:02}" + "x" * 1_000_000)
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            first = await take(stream, 1)
            await still(lambda: sent(at.ignite.calls.open))
            assert sent(at.ignite.calls.open) < 35  # of 40: kernels buffer some
            rest = await take(stream, 40 - len(first))
        assert [row[2][:2] for row in first + rest] == [f"{number:02}" for number in range(40)]


def sent(streams: object) -> int:
    return sum(stream.sent for stream in list(streams))  # type: ignore[call-overload]


async def still(count: object) -> None:
    """Wait until a count has not changed for a while."""
    before = -1
    async with asyncio.timeout(10):
        while (now := count()) != before:  # type: ignore[operator]
            before = now
            await asyncio.sleep(0.25)


@every_way
async def test_sixty_streams_at_once_each_bring_their_own(way: Way) -> None:
    async with reached(way) as at:
        pods = [at.ignite.app(APP.name).start_replica() for _ in range(60)]

        async def follow(replica_id: str) -> str:
            async with at.platform.stream_logs(APP, replica_id) as stream:
                ((_, _, line),) = await take(stream, 1)
                return line

        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(follow(pod.replica_id)) for pod in pods]
            await at.ignite.calls.until_open(60)
            for pod in pods:
                pod.print(f"of {pod.replica_id}")
        assert [task.result() for task in following] == [f"of {pod.replica_id}" for pod in pods]


@every_way
async def test_calls_share_a_connection_and_streams_do_where_the_version_of_http_lets_them(way: Way) -> None:
    async with reached(way) as at, AsyncExitStack() as stack:
        pods = [at.ignite.app(APP.name).start_replica() for _ in range(20)]
        for _ in range(20):
            await at.platform.list_replicas(APP)
        for_calls = at.relay.connections
        assert for_calls <= 2  # the first may have been made to ask how the server is spoken to
        for pod in pods:
            await stack.enter_async_context(at.platform.stream_logs(APP, pod.replica_id))
        await at.ignite.calls.until_open(20)
        for_streams = at.relay.connections - for_calls
        assert for_streams == 20 if way.http and not way.http2 else for_streams <= 2


@every_way
async def test_leaving_a_stream_ends_it_at_the_server(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("first")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            await take(stream, 1)
        async with asyncio.timeout(10):
            await at.ignite.calls.until(lambda: not at.ignite.calls.open)


@every_way
async def test_a_read_that_is_cancelled_loses_nothing(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            rows: list[str] = []
            for number in range(50):
                pending = asyncio.ensure_future(anext(stream))
                await asyncio.sleep(0)
                pod.print(str(number))
                if number % 3:
                    await asyncio.sleep(0.002)
                if pending.cancel():
                    await asyncio.wait({pending})
                if not pending.cancelled():
                    rows += map(text_of, pending.result().lines)
            rows += [row[2] for row in await take(stream, 50 - len(rows))]
        assert rows == [str(number) for number in range(50)]


@every_stream
async def test_a_message_that_cannot_be_understood_is_counted_and_the_stream_goes_on(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("before")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            await take(stream, 1)
            at.ignite.faults.garbage(b"\xff\xff\xff\xff")
            async with asyncio.timeout(10):
                assert (await anext(stream)).undecodable == 1
            pod.print("after")
            assert [row[2] for row in await take(stream, 1)] == ["after"]


@every_way
async def test_text_that_is_no_unicode_is_kept_as_its_bytes(way: Way) -> None:
    async with reached(way, Scenario(declare_line="bytes" if way is GRPC else "string")) as at:
        pod = at.ignite.app(APP.name).start_replica()
        hostile = ["good", b"caf\xe9 \xff", b"\xed\xa0\x80 half a pair", "\x00\x1b[31m\u2028"]
        for line in hostile:
            pod.print(line)
        page = await at.platform.get_logs(APP, pod.replica_id)
        assert [exact(line) for line in page.chunk.lines] == [exact(line) for line in hostile]
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            lines: list[str | bytes] = []
            while len(lines) < 4:
                lines += (await anext(stream)).lines
        assert [exact(line) for line in lines] == [exact(line) for line in hostile]


def exact(line: str | bytes) -> bytes:
    return line.encode() if isinstance(line, str) else line


# ---- events ----


@every_stream
async def test_events_are_read_with_all_that_they_say(way: Way) -> None:
    async with reached(way) as at:
        app = at.ignite.app(APP.name)
        known = app.event("OOMKilling", "Memory cgroup out of memory", "pod-1")
        page = await at.platform.get_events(APP)
        assert not page.truncated
        assert page.events == (
            Event(known.timestamp_ms, "OOM_KILLED", known.reason, known.message, "pod-1", 1, "Warning"),
        )


@every_stream
async def test_a_stream_of_events_brings_new_ones(way: Way) -> None:
    async with reached(way) as at:
        app = at.ignite.app(APP.name)
        app.event("Pulled", "before", "pod-1")
        async with at.platform.stream_events(APP) as stream:
            await at.ignite.calls.until_open(1, method=EVENTS)
            for number in range(3):
                app.event("OOMKilling", f"event {number}", "pod-1", recurring=True)
            seen: list[Event] = []
            async with asyncio.timeout(10):
                while len(seen) < 3:
                    seen += (await anext(stream)).events
        assert [event.message for event in seen] == ["event 0", "event 1", "event 2"]
        assert {event.kind for event in seen} == {"OOM_KILLED"}
