"""The configuration changes again and again under load: in the end everything printed is archived, once."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from shipper.config.digest import digest
from shipper.config.load import load
from shipper.emulator import Emulator
from shipper.emulator.ledger import compare
from shipper.emulator.world import EmulatedReplica
from tests.e2e.daemon_process import Shipper, delivered, printed, records_under
from tests.servers.datadog_intake import DatadogIntake
from tests.servers.process import free_port

OLD_KEY, NEW_KEY = "0123456789abcdef" * 2, "fedcba9876543210" * 2
ROUTES = """\
routes:
  - {match: {app: '*'}, sinks: [local, second], continue: true}
  - {match: {app: [checkout, billing]}, sinks: [datadog]}
  - {match: {app: search}, sinks: [local]}
redact: [{patterns: [ip], sinks: [second, datadog]}]
"""


@dataclass
class Mounted(Shipper):
    """Its configuration lies in a volume as the kubelet makes it: a link to a folder that is replaced as a whole."""

    versions: int = 0

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    def write(self) -> Path:
        written = super().write()
        self.versions += 1
        version = self.volume / f"..version-{self.versions}"
        version.mkdir(parents=True)
        written.rename(version / "shipper.yaml")
        (self.volume / "..new").symlink_to(version.name)
        (self.volume / "..new").replace(self.volume / "..data")
        file = self.volume / "shipper.yaml"
        if not file.is_symlink():
            file.symlink_to("..data/shipper.yaml")
        return file

    def write_key(self, key: str) -> None:
        new = self.key.with_suffix(".new")
        new.write_text(key)
        new.chmod(0o600)
        new.replace(self.key)

    async def reload(self) -> None:
        """Tell it to read what is written now, and wait until that is in force."""
        self.write()
        self.hang_up()
        await self.in_force()

    def hang_up(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    async def in_force(self) -> None:
        wanted = f'shipper_config_info{{sha256="{digest(load(self.volume / "shipper.yaml", {}))}"}}'
        await self.until(
            lambda seen: seen.get(wanted) == 1 == seen["shipper_config_last_reload_successful"], 20
        )

    async def status(self) -> dict[str, Any]:
        return json.loads(await asyncio.to_thread(self._status))

    def _status(self) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/status", timeout=5) as answer:
            return answer.read()


@asynccontextmanager
async def printing(*replicas: EmulatedReplica) -> AsyncIterator[None]:
    """All together print some hundred lines a second for as long as the block."""

    async def go_on() -> None:
        for number in count():
            for replica in replicas:
                replica.print_all([f"{replica.replica_id} {number} {n}" for n in range(3)])
            await asyncio.sleep(0.03)

    task = asyncio.create_task(go_on(), name="printing")
    try:
        yield
    finally:
        task.cancel()


def all_live(seen: dict[str, float]) -> bool:
    return seen.get('shipper_subscriptions{kind="logs",state="live"}') == 6


def reconnects(seen: dict[str, float]) -> float:
    return sum(value for name, value in seen.items() if name.startswith("shipper_reconnects_total"))


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Mounted]:
    it = Mounted(tmp_path, "")
    yield it
    await it.make_sure_it_is_gone()


async def test_reloads_under_load_lose_nothing_double_nothing_and_reconnect_nothing(daemon: Mounted) -> None:
    """Sinks come, change, are drained and discarded; routes, batches, secrets and apps change; a mistake is made."""
    second = daemon.folder / "second"

    def sinks(*names: str, age: str = "500ms") -> str:
        written = {
            "local": f"{{type: directory, path: {daemon.archive}, batch: {{max_age: {age}, max_size: 1MiB}}}}",
            "second": f"{{type: directory, path: {second}, batch: {{max_age: 1h}}}}",
            "datadog": f"{{type: datadog, api_key: '${{file:{daemon.key}}}', endpoint_url: '{intake.url}', "
            "on_remove: discard, batch: {max_age: 100ms}}",
            "wrong": "{type: stdout, path: x}",
        }
        return "\n".join(f"  {name}: {written[name]}" for name in names)

    async with Emulator() as ignite, DatadogIntake() as intake:
        intake.key = OLD_KEY
        apps = [ignite.app(name) for name in ("checkout", "billing", "search")]
        daemon.endpoint, daemon.sinks = ignite.endpoint, sinks("local")
        daemon.write_key(OLD_KEY)
        replicas = [app.start_replica() for app in apps for _ in "ab"]
        await daemon.start()
        await daemon.until(all_live)
        async with printing(*replicas):
            daemon.sinks = sinks("local", "second")
            await daemon.reload()
            began_ms = ignite.ledger.lines[-1].timestamp_ms
            daemon.sinks = sinks("local", "second", "datadog", age="200ms")
            await daemon.reload()
            daemon.settings = ROUTES
            await daemon.reload()

            daemon.sinks = sinks("local", "second", "datadog", "wrong")
            daemon.write()
            daemon.hang_up()
            await daemon.until(lambda seen: seen["shipper_config_last_reload_successful"] == 0)
            assert "unknown key" in (await daemon.status())["configuration"]["last_reload"]["problem"]
            daemon.sinks = sinks("local", "second", "datadog", age="300ms")
            await daemon.reload()

            intake.key = NEW_KEY  # from now on the old one is refused
            await daemon.until(lambda seen: seen['shipper_sink_state{sink="datadog",state="parked"}'] == 1)
            daemon.write_key(NEW_KEY)  # nobody tells it of this
            accepted = len(intake.bodies)
            await daemon.until(lambda seen: len(intake.bodies) > accepted)
            assert intake.requests[-1].headers["DD-API-KEY"] == NEW_KEY

            daemon.settings = ROUTES + "apps: {exclude: [search]}\n"
            daemon.write()  # nor of this
            await daemon.in_force()
            daemon.settings = ROUTES.replace("second", "datadog")
            daemon.sinks = sinks("local", "datadog", age="1s")
            ended_ms = ignite.ledger.lines[-1].timestamp_ms
            await asyncio.sleep(1)  # by then all of that is committed
            await daemon.reload()
            daemon.sinks, daemon.settings = sinks("local"), ""
            daemon.write()
            for _ in range(200):
                daemon.hang_up()
            await daemon.in_force()
            await daemon.until(all_live)
            assert reconnects(await daemon.metrics()) == 0

            daemon.ignite, daemon.port = "  headers: {x-tenant: other}", free_port()
            await daemon.reload()
            await daemon.until(all_live)
            await daemon.until(lambda seen: 'shipper_sink_state{sink="second",state="healthy"}' not in seen)
        assert await daemon.stop() == 0, daemon.said()[-3000:]

        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        had, sent = Counter(map(printed, records_under(second, "logs"))), ignite.ledger.counter()
        assert not had - sent
        meanwhile = (one for one in ignite.ledger.lines if began_ms < one.timestamp_ms < ended_ms)
        missed = Counter(one for one in meanwhile if one.app != "search") - had
        assert not missed, "the sink that was drained has everything from its time"


async def test_a_reload_of_which_a_part_cannot_be_made_changes_nothing(daemon: Mounted) -> None:
    """A taken port, a certificate that is none: the sink that came with it is not there either."""
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        local = f"  local: {{type: directory, path: {daemon.archive}, batch: {{max_age: 200ms}}}}\n"
        new = f"  new: {{type: directory, path: {daemon.folder / 'new'}, batch: {{max_age: 200ms}}}}\n"
        daemon.endpoint, daemon.sinks = ignite.endpoint, local
        await daemon.start()
        await daemon.until(lambda seen: seen.get('shipper_subscriptions{kind="logs",state="live"}') == 1)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port, daemon.port = daemon.port, taken.getsockname()[1]
            daemon.sinks = local + new
            daemon.write()
            daemon.port = port
            daemon.hang_up()
            await daemon.until(lambda seen: seen["shipper_config_last_reload_successful"] == 0)
            assert "cannot listen" in daemon.said()
        (daemon.folder / "ca.pem").write_text("nothing of the kind")
        daemon.ignite = f"  tls: {{ca_file: {daemon.folder / 'ca.pem'}}}"
        daemon.endpoint = ignite.endpoint.replace("grpc://", "grpcs://")
        daemon.write()
        daemon.hang_up()
        await daemon.until_said("holds no certificates")
        pod.print_all([f"line {number}" for number in range(100)])
        await daemon.until(delivered("logs", 100))
        assert not list(records_under(daemon.folder / "new", "logs"))
        daemon.ignite, daemon.endpoint = "", ignite.endpoint
        await daemon.reload()
        pod.print_all([f"more {number}" for number in range(100)])
        await daemon.until(
            lambda seen: seen.get('shipper_records_delivered_total{kind="logs",sink="new"}') == 100
        )
        assert reconnects(await daemon.metrics()) == 0
        assert await daemon.stop() == 0
        assert compare(ignite.ledger.counter(), daemon.lines()).equal


async def test_a_reload_while_the_daemon_ends_is_not_begun(daemon: Mounted) -> None:
    """Nor does the signal end it."""
    async with Emulator() as ignite:
        ignite.app("checkout").start_replica().print("line")
        daemon.endpoint = ignite.endpoint
        await daemon.start()
        await daemon.until(delivered("logs", 1))
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        daemon.hang_up()
        assert await daemon.ended() == 0
        assert "in force" not in daemon.said()
