"""Mischief against a driven emulator with a client attached, and the command that serves one."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import pytest

from shipper.config.load import inspect
from shipper.emulator import Emulator, Scenario, Traffic
from shipper.emulator.demo_daemon import configuration
from shipper.emulator.mischief import Mischief
from shipper.emulator.serve import add_arguments, introduction, scenario_of
from tests.servers.emulator_client import Client

STEADY = Traffic(
    apps=2, replicas=2, rate=200, pod_life_s=1000, least_life_s=900, sleep_every_s=0, leave_s=0.01
)


@pytest.mark.parametrize(
    ("action", "news"),
    [
        ("crash", "crashed"),
        ("sleep", "scaled to zero"),
        ("stall", "stalled"),
        ("rotate", "rotated"),
        ("cut_one", "cut"),
        ("cut_all", "all streams cut"),
        ("expire", "token expired"),
        ("refuse", "refused"),
        ("reconnect", "every connection broken"),
    ],
)
async def test_every_mischief_finds_its_mark_and_tells(action: str, news: str) -> None:
    async with Emulator(Scenario(traffic=STEADY, seed=3)) as ignite, Client(ignite) as client:
        await client.schema()
        streams = [
            client.stream("StreamAppLogs", app_name=app.name, replica_id=replica_id)
            for app in ignite.world.apps.values()
            for replica_id in app.replicas
        ]
        await ignite.calls.until_open(len(streams))
        ignite.world.news.clear()
        await Mischief(ignite).actions[action]()
        assert any(news in text for _, text in ignite.world.news) or (
            action == "crash" and any("OOM" in text for _, text in ignite.world.news)
        )
        for stream in streams:
            stream.cancel()


async def test_a_plan_is_followed_to_its_end_even_where_there_is_nothing_to_aim_at() -> None:
    async with Emulator(Scenario(traffic=STEADY)) as ignite:
        plan = ((0.0, "crash"), (0.5, "cut_one"), (1.0, "stall"))
        await asyncio.wait_for(Mischief(ignite).follow(plan, 0.05), 5)


async def test_random_mischief_goes_on_until_it_is_cancelled() -> None:
    async with Emulator(Scenario(traffic=STEADY)) as ignite:
        ignite.world.news.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Mischief(ignite).at_random(0.002), 0.3)
        assert len(ignite.world.news) > 3


async def test_the_command_serves_until_it_is_told_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shipper", "emulator", "--listen", "127.0.0.1:0", "--faults", "0.1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            while b"started" not in (line := await process.stdout.readline()):
                assert line, "it ended by itself"
            process.send_signal(signal.SIGTERM)
            rest = await process.stdout.read()
            assert (await process.wait(), b"stopped after" in rest) == (0, True)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_port_that_is_taken_is_a_failure_with_a_reason() -> None:
    async with Emulator() as ignite:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shipper", "emulator", "--listen", ignite.address,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert f"cannot listen on {ignite.address}".encode() in said


async def test_both_configurations_that_are_written_out_are_valid(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    served = scenario_of(parser.parse_args(["--listen", "127.0.0.1:0", "--organization", "o: #1"]))
    async with Emulator(Scenario(token_endpoint=True)) as ignite:
        texts = [configuration(ignite, tmp_path / "a b", tmp_path / "state", 9464)]
    async with Emulator(
        Scenario(organization=served.organization, token=served.token, token_endpoint=True)
    ) as ignite:
        shown = introduction(ignite)
        texts.append("\n".join(line[4:] for line in shown.splitlines() if line.startswith("    ")))
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.yaml"
        file.touch(mode=0o600)
        file.write_text(text)
        settings, problems = inspect(file, {})
        assert problems == []
        assert settings is not None
        assert settings.ignite.endpoint.port > 0
    assert settings.ignite.organization == "o: #1"
