"""The daemon over the HTTP gateway: whatever the streams look like, what was printed is what is archived."""

from __future__ import annotations

import asyncio

import pytest

from shipper.emulator import Emulator, Form, HttpStyle, Scenario
from shipper.emulator import Tls as EmulatedTls
from shipper.emulator.ledger import compare
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import delivered
from tests.servers.h2_gateway import OverHttp2
from tests.servers.h2_server import H2Server
from tests.servers.ways import identity

STYLES = [
    *(form.value for form in Form),
    "result,envelope,snake,numbers,enum-numbers,sparse,keep-alive=0.05",
    "sse,envelope,sparse,keep-alive=0.05",
]


async def life_of_apps(ignite: Emulator) -> int:
    """Apps that print, crash, lose their streams and go; how many lines were printed."""
    pods = [
        ignite.app(name).start_replica() for name in ("checkout", "a/b c%2F?#", "größe") for _ in range(2)
    ]
    for pod in pods:
        for number in range(200):
            pod.print(
                f'history {number} of "{pod.replica_id}" }}{{ ☃', stream="stderr" if number % 5 else "stdout"
            )
    async with asyncio.timeout(30):
        for pod in pods:
            await ignite.calls.until_open(replica_id=pod.replica_id)
    for turn in range(6):
        for pod in pods:
            pod.print_all(f"live {turn} {number}" for number in range(20))
        if turn in (1, 3):
            ignite.faults.cut(message="the gateway restarts")
        await asyncio.sleep(0.1)
    ignite.expire_tokens(cut_streams=True)
    async with asyncio.timeout(30):
        for pod in pods:
            await ignite.calls.until_open(replica_id=pod.replica_id)
    pods[0].crash(reason="OOMKilled")
    pods[1].print("the last word")
    await asyncio.sleep(0.3)
    pods[0].restart()
    pods[0].print("again")
    pods[1].gone("scale-down")
    return len(ignite.ledger.lines)


@pytest.mark.parametrize("style", STYLES)
async def test_what_was_printed_is_what_is_archived_over_each_form_of_streams(
    shipper: Make, style: str
) -> None:
    async with Emulator(Scenario(http=HttpStyle().parsed(style))) as ignite:
        daemon = shipper(ignite.http_endpoint)
        await daemon.start()
        printed = await life_of_apps(ignite)
        await daemon.until(delivered("logs", printed))
        await daemon.until(delivered("events", len(ignite.ledger.events)))
        assert await daemon.stop() == 0
        result = compare(ignite.ledger.counter(), daemon.lines())
        assert result.equal, [str(line)[:200] for line in [*result.missing, *result.surplus][:4]]
        assert list(daemon.records("gaps")) == []
        if "enum-numbers" not in style:  # ours are not all in the bundled .proto
            kinds = {f"APP_EVENT_KIND_{event['kind']}" for event in daemon.records("events")}
            assert kinds == {event.kind for event in ignite.ledger.events}


@pytest.mark.parametrize("newer", [False, True], ids=["http/1.1", "http/2"])
async def test_the_same_over_tls_in_the_version_that_the_server_chooses(shipper: Make, newer: bool) -> None:
    tls = EmulatedTls(identity().cert_file.read_bytes(), identity().key_file.read_bytes())
    async with (
        Emulator(Scenario(http=HttpStyle(), tls=tls)) as ignite,
        H2Server(OverHttp2(ignite.gateway), tls=identity().server_context()) as server,
    ):
        endpoint = f"https://{server.address}" if newer else ignite.http_endpoint
        daemon = shipper(endpoint, ignite=f"  tls: {{ca_file: {identity().ca_file}}}")
        await daemon.start()
        printed = await life_of_apps(ignite)
        await daemon.until(delivered("logs", printed))
        assert await daemon.stop() == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        assert bool(server.exchanges) is newer
