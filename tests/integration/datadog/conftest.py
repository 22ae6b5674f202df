"""A Datadog on loopback and a sink that writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.datadog.sink import DatadogSink
from tests.fakes.datadog import NOW_MS
from tests.integration.record_sink_conformance import Held
from tests.servers.datadog_intake import KEY, Canned, DatadogIntake
from tests.servers.tls import Tls, make_tls


def clock() -> float:
    return NOW_MS / 1000


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[DatadogSink]:
    """A sink that writes to `url`, open for as long as the block runs."""
    settings = {"api_key": KEY, "endpoint_url": url, "timeout_s": 10.0} | options
    sink = DatadogSink("dd", DatadogOptions(**settings), clock)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.aclose()


@dataclass
class Opened:
    """A sink and its intake; a `Harness` of the conformance suite."""

    sink: DatadogSink
    intake: DatadogIntake

    def arrived(self) -> Sequence[str]:
        return self.intake.messages

    def hold(self) -> Held:
        held = Held()
        self.intake.script.append(Canned(503, reached=held.reached, after=held.released))
        return held


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's environment decides about these tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def intake() -> AsyncIterator[DatadogIntake]:
    async with DatadogIntake(clock=clock) as intake:
        yield intake


@pytest.fixture
async def harness(intake: DatadogIntake) -> AsyncIterator[Opened]:
    async with opened(intake.url) as sink:
        yield Opened(sink, intake)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    directory: Path = tmp_path_factory.mktemp("datadog-tls")
    return make_tls(directory)
