"""The daemon against platforms of every kind: other field numbers, no reflection, hostile names and lines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import duckdb
import pytest

from shipper.emulator import Emulator, Reflection, Scenario
from shipper.emulator.ledger import compare
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import delivered


@pytest.mark.parametrize("renumber", [1, 2, 3])
async def test_a_server_whose_numbers_all_differ_is_read_by_name(shipper: Make, renumber: int) -> None:
    async with Emulator(Scenario(renumber=renumber)) as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print("hello")
        pod.print("oh no", stream="stderr")
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await daemon.until(delivered("logs", 2))
        await daemon.until(delivered("events", len(ignite.ledger.events)))
        assert await daemon.stop() == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        record = next(iter(daemon.records("logs")))
        assert list(record) == [
            "timestamp_ms",
            "organization",
            "app",
            "replica_id",
            "cluster_id",
            "node_name",
            "stream",
            "line",
        ]
        kinds = {f"APP_EVENT_KIND_{event['kind']}" for event in daemon.records("events")}
        assert kinds == {event.kind for event in ignite.ledger.events}


async def test_without_reflection_the_bundled_numbers_are_used_and_said_once(shipper: Make) -> None:
    async with Emulator(Scenario(reflection=Reflection.OFF)) as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print("hello")
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await daemon.until(delivered("logs", 1))
        assert await daemon.stop() == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        assert daemon.said().count("no gRPC reflection") == 1


async def test_guessed_numbers_that_do_not_fit_put_nothing_into_the_archive_and_are_named_as_the_likely_cause(
    shipper: Make,
) -> None:
    async with Emulator(Scenario(reflection=Reflection.OFF, renumber=5)) as ignite:
        ignite.app("checkout").start_replica().print("hello")
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await daemon.until_said("ERROR.*numbers are guessed")
        assert await daemon.stop() == 0
        assert not list(daemon.records("logs"))


HOSTILE_NAMES = [
    "../../etc",
    "a/b",
    "..",
    "%2e%2e",
    "a=b",
    "sp ace",
    "ünï☃",
    "x" * 300,
    "_hidden",
    ".dot",
    "C:\\x",
]
HOSTILE_LINES: list[str | bytes] = [
    "",
    "\x00\x01\x1b[31mred\x7f",
    '{"timestamp_ms": 1, "line": "no"}',
    '","',
    "\\",
    "tab\tand \u2028 separator",
    b"\xff\xfe not UTF-8",
    b"\xed\xa0\x80 a lone surrogate",
    "☃" * 1000,
]
LONG_LINE = "x" * (10 * 1024 * 1024)


async def test_hostile_names_and_lines_come_out_as_they_went_in_and_stay_in_their_folder(
    shipper: Make, tmp_path: Path
) -> None:
    async with Emulator(Scenario(declare_line="bytes")) as ignite:
        for name in HOSTILE_NAMES:
            pod = ignite.app(name).start_replica()
            for line in HOSTILE_LINES:
                pod.print(line)
        pod.print(LONG_LINE)
        pod = ignite.app("times").start_replica()
        for ts in (0, -1, -(10**15), 253_402_300_799_999, 2**62):
            pod.print("when?", ts=ts)
        total = len(ignite.ledger.lines)
        daemon = shipper(ignite.endpoint, settings="", buffer="max_size: 512MiB")
        await daemon.start()
        await daemon.until(delivered("logs", total))
        assert await daemon.stop() == 0
        result = compare(ignite.ledger.counter(), daemon.lines())
        assert result.equal, [str(line)[:200] for line in [*result.missing, *result.surplus][:4]]
    outside = [
        path for path in tmp_path.rglob("*.zst") if not path.is_relative_to(daemon.archive / "kind=logs")
    ]
    assert all("kind=events" in str(path) for path in outside), outside
    rows = duckdb.sql(
        f"SELECT count(*) FROM read_json('{daemon.archive}/kind=logs/**/*.ndjson.zst', hive_partitioning=false, "
        "maximum_object_size=50000000)"
    ).fetchall()
    assert rows == [(total,)]


async def test_sixty_subscriptions_over_a_cap_of_ten_streams_a_connection_all_receive(shipper: Make) -> None:
    async with Emulator(Scenario(max_concurrent_streams=10)) as ignite:
        pods = [ignite.app(f"app-{number % 6}").start_replica() for number in range(60)]
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        async with asyncio.timeout(60):
            for pod in pods:
                await ignite.calls.until_open(replica_id=pod.replica_id)
        for pod in pods:
            pod.print(f"after opening, of {pod.replica_id}")
        await daemon.until(delivered("logs", 60))
        assert await daemon.stop() == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal


async def test_one_app_that_is_denied_is_parked_and_the_others_go_on(shipper: Make) -> None:
    async with Emulator() as ignite:
        ignite.app("denied").start_replica().print("nobody may read this")
        pod = ignite.app("open").start_replica()
        pod.print("hello")
        ignite.faults.deny("denied")
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await daemon.until(delivered("logs", 1))
        await daemon.until_said("ERROR.*acme-corp/denied")
        assert daemon.said().count("app cannot be listed") == 1
        assert await daemon.stop() == 0
        assert [line.app for line in daemon.lines()] == ["open"]
