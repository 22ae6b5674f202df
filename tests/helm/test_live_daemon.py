"""What watches the daemon watches a real one: promtool its page, `helm test` its health, Prometheus its faults."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipper.emulator import Emulator
from tests.e2e.daemon_process import Shipper, delivered
from tests.helm.chart import CHART, HELM_FOLDER
from tests.helm.live_prometheus import LivePrometheus, live_prometheus
from tests.helm.tools import PROMETHEUS, PROMTOOL
from tests.servers.datadog_intake import DatadogIntake
from tests.servers.process import free_port

RULES = HELM_FOLDER / "examples" / "prometheus-rules.yaml"
WRONG_KEY = "f" * 32

# Without credentials of its own the chain would look for some in the network.
BROKEN = """  broken: {{type: s3, bucket: logs, region: eu-central-1, endpoint_url: "http://127.0.0.1:{port}",
           access_key_id: a, secret_access_key: b, batch: {{max_age: 200ms, max_size: 1MiB}}}}
"""
PARKED = """  search: {{type: datadog, site: datadoghq.eu, api_key: {key}, endpoint_url: "{url}"}}
"""
HEALTHY = """  local: {{type: directory, path: {path}, batch: {{max_age: 200ms, max_size: 1MiB}}}}
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Shipper]:
    """A daemon that is ended whatever happens; a test gives it its endpoint and its sinks."""
    one = Shipper(tmp_path, "")
    yield one
    await one.make_sure_it_is_gone()


@PROMTOOL.needed
async def test_promtool_finds_no_fault_in_the_page_of_the_running_daemon(daemon: Shipper) -> None:
    """`promtool check metrics` also knows the conventions: help, units, names of counters."""
    async with Emulator() as ignite:
        ignite.app("checkout").start_replica().print("hello")
        daemon.endpoint = ignite.endpoint
        await daemon.start()
        await daemon.until(delivered("logs", 1))
        page = await asyncio.to_thread(scrape, daemon.port)
        said = await asyncio.to_thread(PROMTOOL.run, "check", "metrics", text=page, quietly=True)
    assert [line for line in said.splitlines() if "shipper_" in line] == []
    assert "error" not in said


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


async def test_what_helm_test_runs_passes_with_a_daemon_that_is_ready(daemon: Shipper) -> None:
    async with Emulator() as ignite:
        ignite.app("checkout").start_replica().print("hello")
        daemon.endpoint = ignite.endpoint
        await daemon.start()
        await daemon.until(delivered("logs", 1))
        status, said = await helm_test(daemon.port)
    assert (status, said) == (0, "shipper lives, is ready and counts\n")


async def test_what_helm_test_runs_fails_with_a_daemon_that_has_no_platform_and_says_why(
    daemon: Shipper,
) -> None:
    daemon.endpoint = f"grpc://127.0.0.1:{free_port()}"
    await daemon.start()
    await daemon.until(lambda seen: "shipper_buffer_limit_bytes" in seen)
    status, said = await helm_test(daemon.port)
    assert status == 1
    assert "no answer from the platform" in said


async def helm_test(port: int) -> tuple[int | None, str]:
    """The script of the chart's test pod; its minute of patience is over at once."""
    script = (CHART / "files" / "telemetry_test.py").read_text().replace("+ 60\n", "+ 0\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script,
        stdout=asyncio.subprocess.PIPE, env={"SHIPPER_URL": f"http://127.0.0.1:{port}"},
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@PROMETHEUS.needed
async def test_faults_make_the_alerts_fire_that_should_and_no_others(daemon: Shipper, tmp_path: Path) -> None:
    """A store that is down fills a small buffer until the oldest is dropped; a wrong key parks a sink."""
    async with Emulator() as ignite, DatadogIntake() as datadog:
        daemon.endpoint = ignite.endpoint
        daemon.buffer = "max_size: 16MiB, when_full: drop_oldest"
        daemon.sinks = (
            HEALTHY.format(path=daemon.archive)
            + BROKEN.format(port=free_port())
            + PARKED.format(key=WRONG_KEY, url=datadog.url)
        )
        await daemon.start()
        replica = ignite.app("checkout").start_replica()
        replica.print("hello")
        await daemon.until(delivered("logs", 1))
        async with live_prometheus(RULES, daemon.port, tmp_path / "prometheus") as prometheus:
            noise = random.Random(7)
            replica.print_all([noise.randbytes(400).hex() for _ in range(32_000)])
            expected = {
                "ShipperGap",
                "ShipperRecordsDropped",
                "ShipperDeliveryFailing",
                "ShipperSinkParked",
            }
            names = await prometheus.until(lambda seen: expected <= seen, within_s=60)
            assert names == expected
            alerts = await prometheus.firing()
            texts = [text for alert in alerts.values() for text in alert["annotations"].values()]
            assert not [text for text in texts if "error" in text or "%!" in text or "<no value>" in text]
            assert "search" in alerts["ShipperSinkParked"]["annotations"]["summary"]
            await _look_at_every_panel(prometheus)

            await daemon.stop(signal.SIGKILL)
            await prometheus.until(lambda seen: "ShipperDown" in seen, within_s=30)


async def _look_at_every_panel(prometheus: LivePrometheus) -> None:
    """Each query of the dashboard is one that Prometheus takes; nearly all have something to show."""
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    empty = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")
            query = (
                query.replace('=~"$cluster"', '=~".*"')
                .replace('=~"$namespace"', '=~".*"')
                .replace('"$job"', '"shipper"')
            )
            if not await prometheus.query(query):
                empty.append(panel["title"])
    assert set(empty) <= {"Reconnects"}, empty
