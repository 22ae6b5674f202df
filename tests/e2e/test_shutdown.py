"""SIGTERM drains, a second signal ends at once, and a second daemon on the same buffer refuses to start."""

from __future__ import annotations

import asyncio
import signal

from shipper.emulator import Emulator
from shipper.emulator.ledger import compare
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import delivered, records_under
from tests.servers.process import free_port

# Nobody listens there: a sink that is down.
DOWN = (
    "  down: {{type: s3, bucket: logs, region: eu-central-1, endpoint_url: 'http://127.0.0.1:{port}', "
    "access_key_id: a, secret_access_key: b, batch: {{max_age: 200ms}}}}"
)


async def test_sigterm_delivers_what_the_streams_have_brought_and_exits_0(shipper: Make) -> None:
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print_all([f"line {number}" for number in range(5_000)])
        daemon = shipper(ignite.endpoint)
        daemon.sinks = (
            f"  local: {{type: directory, path: {daemon.archive}, batch: {{max_age: 1h, max_size: 64MiB}}}}"
        )
        await daemon.start()
        await daemon.until(lambda seen: seen.get('shipper_records_received_total{kind="logs"}', 0) >= 5_000)
        assert not list(daemon.lines()), "nothing is due for an hour"
        assert await daemon.stop(signal.SIGTERM) == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        assert "drained" in daemon.said()


async def test_a_sink_that_is_down_delays_neither_the_exit_nor_the_others_and_gets_its_records_later(
    shipper: Make,
) -> None:
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print_all([f"line {number}" for number in range(1_000)])
        daemon = shipper(ignite.endpoint, settings="shutdown: {timeout: 3s}")
        local = f"  local: {{type: directory, path: {daemon.archive}, batch: {{max_age: 200ms}}}}\n"
        daemon.sinks = local + DOWN.format(port=free_port())
        await daemon.start()
        await daemon.until(delivered("logs", 1_000))
        await daemon.until(lambda seen: seen.get('shipper_sink_backlog_records{sink="down"}', 0) >= 1_000)
        assert await daemon.stop(signal.SIGTERM, within_s=15) == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        assert "records remain in the buffer" in daemon.said()
        # The same sink is a folder at the next start: what waited for it is there, once.
        late = daemon.folder / "late"
        daemon.sinks = local + f"  down: {{type: directory, path: {late}, batch: {{max_age: 200ms}}}}"
        await daemon.start()
        await daemon.until(
            lambda seen: seen.get('shipper_records_delivered_total{kind="logs",sink="down"}', 0) >= 1_000
        )
        assert await daemon.stop() == 0
        archived = [record for record in records_under(late, "logs") if record["line"].startswith("line ")]
        assert len(archived) == 1_000 == len({record["line"] for record in archived})


async def test_a_second_signal_ends_at_once(shipper: Make) -> None:
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print("hello")
        daemon = shipper(ignite.endpoint, settings="shutdown: {timeout: 60s}")

        # A server that takes connections and never answers keeps the drain busy.
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
        async with silent:
            daemon.sinks = DOWN.format(port=silent.sockets[0].getsockname()[1])
            await daemon.start()
            await daemon.until(lambda seen: seen.get('shipper_records_received_total{kind="logs"}', 0) >= 1)
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGTERM)
            await daemon.until_said("SIGTERM: draining")
            await asyncio.sleep(1.0)  # signals that come together are one
            assert await daemon.stop(signal.SIGTERM, within_s=20) == 1
            assert "again" in daemon.said()
            daemon.process = None


async def test_a_second_daemon_on_the_same_buffer_refuses_and_names_the_first(shipper: Make) -> None:
    async with Emulator() as ignite:
        ignite.app("checkout").start_replica().print("hello")
        daemon = shipper(ignite.endpoint)
        first = await daemon.start()
        await daemon.until(delivered("logs", 1))
        second = type(daemon)(daemon.folder, ignite.endpoint)
        await second.start()
        assert await second.ended(20) == 1
        assert f"{first.pid}" in second.said().splitlines()[-1]
        assert await daemon.stop() == 0
