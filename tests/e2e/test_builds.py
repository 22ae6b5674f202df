"""What builds print is archived once, over each transport, whatever happens to the daemon; size costs no memory."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import pytest

from shipper.archive.codec import log_bytes
from shipper.emulator import Built, EmulatedBuild, Emulator, HttpStyle, Scenario
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import Shipper, delivered

KILLS = 3
MEBI = 1024 * 1024


def archived(daemon: Shipper) -> Counter[Built]:
    return Counter(
        Built(
            record["app"],
            record["source"],
            record.get("build_id") or record["deploy_id"],
            log_bytes(record),
        )
        for record in daemon.records("builds")
    )


def output(rng: random.Random) -> bytes:
    """Some lines as builds print them, the last without an end."""
    lines = [
        rng.choice(
            ["Compiling serde v1.0.219", "the same again", "\x1b[1m\x1b[32mFinished\x1b[0m größer ✓", ""]
        )
        for _ in range(rng.randint(5, 60))
    ]
    bar = "\r".join(f"{done:3}% [{'#' * (done // 10)}]" for done in range(0, 101, 10))
    text = "".join(line + rng.choice(["\n", "\r\n"]) for line in lines) + bar
    return text.encode() + rng.choice([b"", b"\n", b"\nnot \xff text"])


async def print_on(build: EmulatedBuild, rng: random.Random) -> None:
    """Print in pieces that are cut anywhere, then end."""
    data = output(rng)
    while data:
        size = rng.randint(1, 40)
        build.write(data[:size])
        data = data[size:]
        await asyncio.sleep(rng.uniform(0.0, 0.1))
    build.finish()


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_what_builds_print_is_archived_once_although_the_daemon_is_killed(
    shipper: Make, transport: str
) -> None:
    rng = random.Random(4)
    http = HttpStyle() if transport == "http" else None
    async with Emulator(Scenario(renumber=2, http=http)) as ignite, asyncio.TaskGroup() as tasks:
        daemon = shipper(ignite.http_endpoint if http else ignite.endpoint)

        def build_something(number: int) -> None:
            """A compile is found while it is its app's draft, so each has an app of its own."""
            app = ignite.app(f"app-{number}")
            for build in (app.compile(), app.build()):
                tasks.create_task(print_on(build, rng), name=build.build_id)

        for turn in range(KILLS):
            build_something(2 * turn)
            await daemon.start()
            await daemon.until(lambda seen: True)
            build_something(2 * turn + 1)
            await asyncio.sleep(rng.uniform(0.5, 2.5))
            assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        await daemon.start()
        while any(build.running for build in ignite.world.builds.all.values()):
            await asyncio.sleep(0.1)
        printed = ignite.ledger.built_lines()
        async with asyncio.timeout(40):
            while archived(daemon).total() < printed.total():
                await asyncio.sleep(0.5)
        assert await daemon.stop() == 0
        found = archived(daemon)
        assert found - printed == Counter(), daemon.said()[-2000:]
        assert printed - found == Counter(), daemon.said()[-2000:]
        assert len({built.build_id for built in printed}) == 4 * KILLS
        assert not list(daemon.records("gaps"))


async def test_a_platform_without_builds_is_said_once_and_shown_and_all_else_goes_on(shipper: Make) -> None:
    async with Emulator(Scenario(builds=False)) as ignite:
        pods = [ignite.app(name).start_replica() for name in ("checkout", "search", "mailer")]
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await daemon.until_said("GetDraftInfo is not offered")
        await daemon.until_said("ListBuilds is not offered")
        for pod in pods:
            pod.print("hello")
        await daemon.until(delivered("logs", 3))
        page = await asyncio.to_thread(urlopen, f"http://127.0.0.1:{daemon.port}/api/status")
        features = {one["name"]: one for one in json.load(page)["platform"]["features"]}
        assert {name for name, one in features.items() if not one["on"]} == {"new compiles", "image builds"}
        assert "BuildService" in features["image builds"]["why"]
        assert await daemon.stop() == 0
        assert daemon.said().count("is not offered") == 2


def peak(daemon: Shipper) -> int:
    """The most memory that the daemon ever had, in bytes."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.parametrize(("transport", "size"), [("grpc", 100_000_000), ("http", 100_000_000)])
async def test_a_large_log_is_archived_within_the_memory_bound(
    shipper: Make, transport: str, size: int
) -> None:
    """Both are more than any message may have."""
    line = b"#12 1.234 Collecting package-with-a-rather-long-name==1.2.3 from the index of packages\n"
    count = size // len(line)
    http = HttpStyle() if transport == "http" else None
    async with Emulator(Scenario(http=http, keep_ledger=False)) as ignite:
        built = ignite.app("checkout").build("bld_01HZX9")
        daemon = shipper(ignite.http_endpoint if http else ignite.endpoint, buffer="max_size: 256MiB")
        await daemon.start()
        await daemon.until(lambda seen: True)
        await ignite.calls.until_made("ListBuilds")
        before = peak(daemon)
        built.write(line * count)
        built.finish()
        await daemon.until(delivered("builds", count), within_s=180)
        grown = peak(daemon) - before
        assert await daemon.stop() == 0
    assert sum(1 for _ in daemon.records("builds")) == count
    assert grown < 96 * MEBI, f"{grown / MEBI:.0f} MiB"
