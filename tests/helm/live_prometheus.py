"""A real Prometheus on loopback that scrapes one daemon with the chart's rules, sped up."""

from __future__ import annotations

import asyncio
import json
import os
import re
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helm.tools import PROMETHEUS
from tests.servers.process import free_port


@dataclass(frozen=True, slots=True)
class LivePrometheus:
    """What it knows, through its API."""

    port: int

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of a query at this moment. AssertionError where Prometheus refuses it."""
        return (await self._get("query?" + urllib.parse.urlencode({"query": expression})))["result"]

    async def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire, by name; of several with one name, one."""
        alerts = (await self._get("alerts"))["alerts"]
        return {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}

    async def until(self, ready: Callable[[set[str]], bool], within_s: float) -> set[str]:
        """Ask until the names of the firing alerts are as wanted; they are in the error where that takes too long."""
        names: set[str] = set()
        try:
            async with asyncio.timeout(within_s):
                while not ready(names := set(await self.firing())):
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise AssertionError(f"these fire: {sorted(names)}") from None
        return names

    async def _get(self, path: str) -> Any:
        answer = await asyncio.to_thread(self._fetch, path)
        assert answer["status"] == "success", answer
        return answer["data"]

    def _fetch(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)


@asynccontextmanager
async def live_prometheus(rules: Path, target_port: int, folder: Path) -> AsyncIterator[LivePrometheus]:
    """Scrapes and evaluates each second; an alert that waits for minutes waits for two seconds here."""
    folder.mkdir()
    (folder / "rules.yaml").write_text(
        re.sub(r"^( +for:) .*m$", r"\1 2s", rules.read_text(), flags=re.MULTILINE)
    )
    target = {"targets": [f"127.0.0.1:{target_port}"], "labels": {"namespace": "logs"}}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "shipper", "static_configs": [target]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS.path, "--config.file=prometheus.yaml", f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.path=data", "--log.level=warn",
            cwd=folder, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"},
        )  # fmt: skip
    try:
        prometheus = LivePrometheus(port)
        async with asyncio.timeout(30):
            while not await _answers(prometheus):
                await asyncio.sleep(0.1)
        yield prometheus
    finally:
        process.kill()
        await process.wait()


async def _answers(prometheus: LivePrometheus) -> bool:
    try:
        return bool(await prometheus.query("up == 1"))
    except OSError:
        return False
