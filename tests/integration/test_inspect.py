"""`shipper ignite`: what it prints of an emulated platform, over each transport, and how it fails."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from shipper.config.platform import IgniteSettings
from shipper.emulator import EmulatedReplica, Scenario
from shipper.inspect import command
from shipper.inspect.showing import moment, safe
from shipper.inspect.trouble import NotShown
from tests.servers.ways import GRPC, HTTP, Reached, Way, reached

both = pytest.mark.parametrize("way", [GRPC, HTTP], ids=str)
AT = 1_716_894_000_123
OLD_EVENTS = Scenario(event_ttl_s=1e9)
TIME = "2024-05-28T11:00:00.123Z"


@dataclass
class Printed:
    """What a command printed so far."""

    lines: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, lines: Iterable[str]) -> None:
        self.lines += lines
        self.changed.set()

    def warn(self, text: str) -> None:
        self.notices.append(text)
        self.changed.set()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    async def until(self, count: int, notices: int = 0) -> None:
        """Wait for so many lines and notices."""
        async with asyncio.timeout(15):
            while len(self.lines) < count or len(self.notices) < notices:
                self.changed.clear()
                await self.changed.wait()


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser, lambda told: None)
    return parser.parse_args(words)


def settings(at: Reached, way: Way, token: str = "emulator-token") -> IgniteSettings:
    endpoint = f"{'http' if way.http else 'grpc'}://{at.relay.address}"
    auth = {"type": "token", "token": token}
    return IgniteSettings.model_validate({"endpoint": endpoint, "organization": "acme-corp", "auth": auth})


async def look(at: Reached, way: Way, *words: str, printed: Printed | None = None) -> Printed:
    printed = printed or Printed()
    assert await command.run(arguments(*words), settings(at, way), printed.write, printed.warn) == 0
    return printed


def checkout(at: Reached, name: str = "checkout-7c9d8-abcde") -> EmulatedReplica:
    pod = at.ignite.app("checkout").start_replica(name, node_name="ip-10-0-3-17", events=False)
    pod.started_ms = AT
    return pod


# ---- replicas ----


@both
async def test_replicas_are_a_table_or_records(way: Way) -> None:
    async with reached(way) as at:
        checkout(at).restart_count = 12
        assert (await look(at, way, "replicas", "checkout")).lines == [
            "REPLICA               STATUS   READY  RESTARTS  STARTED                   CLUSTER      NODE",
            f"checkout-7c9d8-abcde  RUNNING  yes    12        {TIME}  worker-eu-1  ip-10-0-3-17",
        ]
        (record,) = (await look(at, way, "replicas", "acme-corp/checkout", "--output", "json")).records
        assert record == {
            "organization": "acme-corp",
            "app": "checkout",
            "replica_id": "checkout-7c9d8-abcde",
            "cluster_id": "worker-eu-1",
            "node_name": "ip-10-0-3-17",
            "status": "STATUS_RUNNING",
            "ready": True,
            "restart_count": 12,
            "started_ms": AT,
        }


async def test_an_app_that_sleeps_has_none_and_that_is_no_failure() -> None:
    async with reached(GRPC) as at:
        at.ignite.app("checkout")
        printed = await look(at, GRPC, "replicas", "checkout")
        assert len(printed.lines) == 1
        assert printed.notices == [
            "no replica of acme-corp/checkout runs now; an app that is scaled to zero has none until it is called"
        ]


# ---- logs ----


@both
async def test_recent_lines_of_all_replicas_come_by_time_and_obey_no_terminal(way: Way) -> None:
    async with reached(way) as at:
        one, two = checkout(at, "checkout-1"), checkout(at, "checkout-2")
        one.print("first \x1b[31mred\x1b[0m größe", ts=AT)
        two.print(b"third \xff", ts=AT + 2, stream="stderr")
        one.print("second\r\u202e\x9b", ts=AT + 1)
        assert (await look(at, way, "logs", "checkout")).lines == [
            f"{TIME}  checkout-1  stdout  first \\x1b[31mred\\x1b[0m größe",
            f"{TIME.replace('123Z', '124Z')}  checkout-1  stdout  second\\r\\u202e\\x9b",
            f"{TIME.replace('123Z', '125Z')}  checkout-2  stderr  third \\xff",
        ]
        only = await look(at, way, "logs", "checkout", "--replica", "checkout-2", "--output", "json")
        assert only.records[0]["line_base64"] == "dGhpcmQg/w=="
        assert only.records[0]["node_name"] == "ip-10-0-3-17"
        few = await look(at, way, "logs", "checkout", "--limit", "1")
        assert [line.rpartition("  ")[2] for line in few.lines] == ["third \\xff"]
        assert few.notices == ["older lines are not shown: --limit N asks for more, --from-start for all"]


async def test_all_that_the_platform_has_is_more_than_what_is_recent() -> None:
    async with reached(GRPC, Scenario(logs_cap=10)) as at:
        pod = checkout(at)
        pod.print_all(f"line {number}" for number in range(3000))
        assert len((await look(at, GRPC, "logs", "checkout")).lines) == 10
        printed = await look(at, GRPC, "logs", "checkout", "--from-start")
        assert [line.rpartition("  ")[2] for line in printed.lines] == [f"line {n}" for n in range(3000)]


@both
async def test_all_that_the_platform_has_has_an_end_though_the_replica_never_pauses(way: Way) -> None:
    async def print_on(pod: EmulatedReplica) -> None:
        while True:
            pod.print("on and on")
            await asyncio.sleep(0.05)

    async with reached(way) as at, asyncio.TaskGroup() as tasks:
        pod = checkout(at)
        pod.print_all(f"line {number}" for number in range(300))
        printing = tasks.create_task(print_on(pod))
        async with asyncio.timeout(20):
            printed = await look(at, way, "logs", "checkout", "--from-start")
        printing.cancel()
        said = [line.rpartition("  ")[2] for line in printed.lines]
        assert said[:300] == [f"line {number}" for number in range(300)]


@both
async def test_following_goes_on_over_cuts_and_finds_replicas_that_start(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipper.inspect.logs.LOOK_EVERY_S", 0.1)
    monkeypatch.setattr("shipper.inspect.logs.AGAIN_S", 0.01)
    async with reached(way) as at, asyncio.TaskGroup() as tasks:
        pod, printed = checkout(at, "checkout-1"), Printed()
        pod.print("old")
        following = tasks.create_task(look(at, way, "logs", "checkout", "--follow", printed=printed))
        await at.ignite.calls.until_open(replica_id="checkout-1")
        pod.print("new")
        await printed.until(1)
        at.ignite.faults.cut(replica_id="checkout-1")
        await printed.until(1, notices=1)
        await at.ignite.calls.until_open(replica_id="checkout-1")
        pod.print("newer")
        await printed.until(2)
        other = checkout(at, "checkout-2")
        other.print("of another")
        await printed.until(3)
        other.gone()
        await printed.until(3, notices=2)
        assert [line.rpartition("  ")[2] for line in printed.lines] == ["new", "newer", "of another"]
        assert "opened again: lines may be missing here" in printed.notices[0]
        assert printed.notices[1] == "replica checkout-2 is gone"
        following.cancel()


# ---- events ----


@both
async def test_events_are_filtered_sorted_and_limited(way: Way) -> None:
    async with reached(way, OLD_EVENTS) as at:
        app = at.ignite.app("checkout")
        app.event("OOMKilling", "Memory cgroup out of memory", "checkout-1", ts=AT)
        app.event("Started", "Started \x1b[2J", "checkout-2", ts=AT - 1)
        assert (await look(at, way, "events", "checkout")).lines == [
            "TIME                      SEVERITY  REASON      REPLICA     COUNT  MESSAGE",
            f"{TIME.replace('123Z', '122Z')}  Normal    Started     checkout-2  1      Started \\x1b[2J",
            f"{TIME}  Warning   OOMKilling  checkout-1  1      Memory cgroup out of memory",
        ]
        warnings = await look(at, way, "events", "checkout", "--severity", "warning", "--output", "json")
        assert warnings.records == [
            {
                "timestamp_ms": AT,
                "organization": "acme-corp",
                "app": "checkout",
                "replica_id": "checkout-1",
                "kind": "OOM_KILLED",
                "reason": "OOMKilling",
                "message": "Memory cgroup out of memory",
                "count": 1,
                "severity": "Warning",
            }
        ]
        of_one = await look(at, way, "events", "checkout", "--replica", "checkout-2", "--limit", "1")
        assert len(of_one.lines) == 2
        assert not of_one.notices


@both
async def test_events_are_followed_after_those_that_are_remembered(way: Way) -> None:
    async with reached(way, OLD_EVENTS) as at, asyncio.TaskGroup() as tasks:
        app, printed = at.ignite.app("checkout"), Printed()
        app.event("Started", "one", ts=AT)
        words = ("events", "checkout", "-f", "--from-start", "--output", "json")
        following = tasks.create_task(look(at, way, *words, printed=printed))
        await at.ignite.calls.until_open(method="StreamAppEvents")
        app.event("Killing", "two")
        await printed.until(2)
        assert [record["message"] for record in printed.records] == ["one", "two"]
        following.cancel()


# ---- builds ----


@both
async def test_the_output_of_the_newest_compile_or_of_a_build_by_its_id(way: Way) -> None:
    async with reached(way) as at:
        app = at.ignite.app("checkout")
        built = app.build("bld_01HZX9", ts=AT)
        built.print("Step 1/8\r", b"\xff")
        built.finish()
        assert (await look(at, way, "build-log", "checkout")).lines == ["Step 1/8", "\\xff"]
        compiled = app.compile("dpl_01HZX9", ts=AT)
        compiled.write(b"Compiling\nhalf", ts=AT + 5)
        assert (await look(at, way, "build-log", "checkout")).lines == ["Compiling", "half"]  # it still runs
        records = (await look(at, way, "build-log", "checkout", "bld_01HZX9", "--output", "json")).records
        assert records[0] == {
            "timestamp_ms": AT,
            "organization": "acme-corp",
            "app": "checkout",
            "build_id": "bld_01HZX9",
            "source": "build",
            "line": "Step 1/8",
        }
        compiled.finish()
        compiled.retire()
        (first, _) = (await look(at, way, "build-log", "checkout", "dpl_01HZX9", "--output", "json")).records
        assert (first["deploy_id"], first["source"], first["timestamp_ms"]) == ("dpl_01HZX9", "compile", AT)


@both
async def test_a_compile_is_followed_to_its_end(way: Way) -> None:
    async with reached(way) as at, asyncio.TaskGroup() as tasks:
        compiled, printed = at.ignite.app("checkout").compile("dpl_1"), Printed()
        compiled.print("one")
        following = tasks.create_task(look(at, way, "build-log", "checkout", "--follow", printed=printed))
        await printed.until(1)
        compiled.write(b"two")
        compiled.finish()
        assert (await following).lines == ["one", "two"]


async def test_what_is_gone_or_unknown_is_said_with_what_to_do() -> None:
    async with reached(GRPC) as at:
        at.ignite.app("checkout")
        with pytest.raises(NotShown, match="names no build of acme-corp/checkout; say which"):
            await look(at, GRPC, "build-log", "checkout")
        with pytest.raises(NotShown, match=r"no output of bld_9 for acme-corp/checkout \(any more\)"):
            await look(at, GRPC, "build-log", "checkout", "bld_9")


# ---- failures ----


@both
async def test_an_app_that_is_not_there_comes_with_one_that_may_be_meant(way: Way) -> None:
    async with reached(way) as at:
        at.ignite.app("checkout")
        for verb in ("replicas", "logs", "events"):
            with pytest.raises(NotShown, match=r"app chekout not found; did you mean checkout\?"):
                await look(at, way, verb, "chekout")
        with pytest.raises(NotShown, match=r"there are checkout$"):
            await look(at, way, "replicas", "something-else")


@both
async def test_a_replica_that_does_not_run_is_named(way: Way) -> None:
    async with reached(way) as at:
        checkout(at)
        for words in (("logs", "checkout"), ("logs", "checkout", "-f")):
            with pytest.raises(
                NotShown, match="replica nope does not run; `shipper ignite replicas checkout`"
            ):
                await look(at, way, *words, "--replica", "nope")


@both
async def test_refusals_say_what_to_do(way: Way) -> None:
    async with reached(way) as at:
        checkout(at)
        printed = Printed()
        with pytest.raises(NotShown, match=r"the token is refused, look at ignite\.auth"):
            await command.run(
                arguments("logs", "checkout"), settings(at, way, "wrong"), printed.write, printed.warn
            )
        at.ignite.faults.refuse("*", "PERMISSION_DENIED")
        with pytest.raises(NotShown, match=r"the role ignite\.app-viewer on acme-corp/checkout"):
            await look(at, way, "logs", "checkout", "-f")


@pytest.mark.parametrize("text", ["", "/", "a/", "a/b/c"])
def test_what_is_no_app_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        arguments("replicas", text)


def test_times_that_cannot_be_are_shown_as_they_are() -> None:
    assert (moment(2**62), moment(0), moment(-1)) == (str(2**62), "-", "1969-12-31T23:59:59.999Z")
    assert safe("\ud800") == "\\ud800"
