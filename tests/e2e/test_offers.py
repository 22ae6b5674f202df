"""A platform without a stream of logs: they are archived once all the same, it is said and shown, and passes."""

from __future__ import annotations

import asyncio
import json
import signal
from urllib.request import urlopen

import pytest

from shipper.emulator import Emulator, HttpStyle, Scenario
from shipper.emulator.ledger import compare
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import Shipper


async def off(daemon: Shipper) -> dict[str, str]:
    """What /api/status says is off, and why."""
    page = await asyncio.to_thread(urlopen, f"http://127.0.0.1:{daemon.port}/api/status")
    return {one["name"]: one["why"] for one in json.load(page)["platform"]["features"] if not one["on"]}


async def archived(daemon: Shipper, ignite: Emulator) -> None:
    """Wait until as many lines are in the archive as were printed."""
    async with asyncio.timeout(60):
        while sum(1 for _ in daemon.lines()) < len(ignite.ledger.lines):
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_logs_are_archived_once_without_a_stream_and_by_it_when_it_is_back(
    shipper: Make, transport: str
) -> None:
    http = HttpStyle() if transport == "http" else None
    async with Emulator(Scenario(http=http)) as ignite:
        # A gateway has no such route (grpc-gateway's own answer); a gRPC server has no such call.
        no = (
            ignite.faults.refuse("StreamAppLogs", "NOT_FOUND", message="Not Found")
            if http
            else ignite.faults.refuse("StreamAppLogs", "UNIMPLEMENTED")
        )
        pods = [ignite.app(name).start_replica() for name in ("checkout", "größe") for _ in range(2)]
        for pod in pods:
            pod.print_all([f"history {number // 2}" for number in range(300)])
        daemon = shipper(ignite.http_endpoint if http else ignite.endpoint)
        await daemon.start()
        await archived(daemon, ignite)
        assert list(await off(daemon)) == ["streams of logs"]
        for pod in pods:
            pod.print_all(["between two looks", "between two looks", "\x00 ☃"])
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        await daemon.start()
        await archived(daemon, ignite)
        assert (await off(daemon))["streams of logs"].startswith("StreamAppLogs (2 apps): UNIMPLEMENTED")
        assert await daemon.stop() == 0
        assert daemon.said().count("StreamAppLogs is not offered, asked for again each hour") == 2
        no.lift()
        for pod in pods:
            pod.print("while nobody looked")
        await daemon.start()
        for pod in pods:
            await ignite.calls.until_open(replica_id=pod.replica_id)
            pod.print("live")
        await archived(daemon, ignite)
        assert await off(daemon) == {}
        assert await daemon.stop() == 0
        result = compare(ignite.ledger.counter(), daemon.lines())
        assert result.equal, [str(line)[:200] for line in [*result.missing, *result.surplus][:4]]
        assert not list(daemon.records("gaps"))
