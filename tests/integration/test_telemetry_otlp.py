"""Metrics over OTLP: what a receiver decodes is what /metrics shows, and a receiver that is away holds nothing up."""

from __future__ import annotations

import asyncio
import gzip
import logging
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from shipper.config.otlp import OtlpSettings
from shipper.config.secret import Secret
from shipper.telemetry.metrics import SERIES, SeriesType
from shipper.telemetry.otlp import OtlpExport, address
from shipper.telemetry.otlp_message import Span, message
from shipper.telemetry.prometheus import PrometheusMeter

CUMULATIVE = 2


@dataclass
class Receiver:
    """Decodes what comes, and answers as it is told."""

    port: int = 0
    status: int = 200
    answer: bytes = b""
    requests: list[web.Request] = field(default_factory=list)
    exports: list[ExportMetricsServiceRequest] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.exports.append(ExportMetricsServiceRequest.FromString(await request.read()))
        return web.Response(status=self.status, body=self.answer, content_type="application/x-protobuf")

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.exports) < count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[Receiver]:
    it = Receiver()
    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/metrics", it.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    it.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield it
    finally:
        await runner.cleanup()


@asynccontextmanager
async def exporting(
    meter: PrometheusMeter, endpoint: str, *, interval_s: float = 0.02, **headers: str
) -> AsyncIterator[None]:
    secrets = {name.replace("_", "-"): Secret(value) for name, value in headers.items()}
    settings = OtlpSettings.model_construct(endpoint=endpoint, headers=secrets, interval=interval_s)
    task = asyncio.create_task(OtlpExport(settings, meter.collect).run(), name="export")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def decoded(export: ExportMetricsServiceRequest) -> dict[str, Any]:
    (resource,) = export.resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def labelled(points: Any) -> dict[tuple[str, ...], Any]:
    """Points by the values of their attributes, in the order of the names."""
    return {
        tuple(one.value.string_value for one in sorted(point.attributes, key=lambda one: one.key)): point
        for point in points
    }


async def test_what_is_counted_arrives_with_labels_units_and_kinds() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    meter.count("records_received_total", 7, "logs")
    meter.level("buffer_bytes", 4096)
    for seconds in (0.05, 0.3, 3.0, 1e6):
        meter.observe("delivery_seconds", seconds, "archive")
    async with receiver() as it, exporting(meter, it.endpoint, api_key="key-1"):
        await it.until(1)
        found = decoded(it.exports[0])
        (resource,) = it.exports[0].resource_metrics
        attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
        assert attributes["service.name"] == "shipper"
        assert {"service.version", "service.instance.id"} <= attributes.keys()
        request = it.requests[0]
        assert request.headers["Content-Type"] == "application/x-protobuf"
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.headers["api-key"] == "key-1"
    received = found["shipper_records_received_total"]
    assert (received.unit, received.sum.is_monotonic, received.sum.aggregation_temporality) == (
        "{records}", True, CUMULATIVE,
    )  # fmt: skip
    points = labelled(received.sum.data_points)
    assert (points[("logs",)].as_double, points[("events",)].as_double) == (7, 0)
    assert 0 < points[("logs",)].start_time_unix_nano <= points[("logs",)].time_unix_nano
    level = found["shipper_buffer_bytes"]
    assert (level.unit, level.gauge.data_points[0].as_double) == ("By", 4096)
    histogram = found["shipper_delivery_seconds"]
    (point,) = histogram.histogram.data_points
    assert histogram.unit == "s"
    assert (point.count, math.isclose(point.sum, 1_000_003.35)) == (4, True)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert list(point.explicit_bounds)[:3] == [0.1, 0.5, 1.0]
    assert list(point.bucket_counts)[:2] == [1, 1]
    assert (sum(point.bucket_counts), point.bucket_counts[-1]) == (4, 1)
    assert found["process_resident_memory_bytes"].gauge.data_points[0].as_double > 1e6


def test_every_series_of_the_table_is_in_the_message_as_its_own_kind() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    meter.level("replicas", 1, "acme/shop")
    meter.level("config_info", 1, "abc")
    found = decoded(ExportMetricsServiceRequest.FromString(message(meter.collect(), {}, "1", Span(1, 2))))
    kinds = {SeriesType.COUNTER: "sum", SeriesType.GAUGE: "gauge", SeriesType.HISTOGRAM: "histogram"}
    for series in SERIES:
        assert found[f"shipper_{series.name}"].WhichOneof("data") == kinds[series.type]
    assert not [name for name in found if name.endswith("_created")]


async def test_a_receiver_that_is_away_or_refuses_is_told_once_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shipper.telemetry")
    meter = PrometheusMeter()
    async with receiver() as it:
        port, endpoint = it.port, it.endpoint
    async with exporting(meter, endpoint, authorization="Bearer a-secret-token"):
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0.005)
        async with receiver(port) as it:
            it.status = 503
            await it.until(3)
            it.status = 200
            await it.until(6)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "cannot be sent over OTLP" in messages[0]
    assert "cannot be reached" in messages[0]
    assert messages[1] == "metrics are sent over OTLP again"
    assert "a-secret-token" not in caplog.text


async def test_points_that_are_rejected_are_told_in_the_receivers_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with receiver() as it:
        refusal = ExportMetricsServiceResponse()
        refusal.partial_success.rejected_data_points = 3
        refusal.partial_success.error_message = "too old"
        it.answer = refusal.SerializeToString()
        async with exporting(PrometheusMeter(), it.endpoint):
            await it.until(2)
    assert "rejects 3 data points: too old" in caplog.text


async def test_at_the_end_everything_is_sent_once_more_and_a_receiver_that_hangs_is_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = PrometheusMeter()
    async with receiver() as it:
        async with exporting(meter, it.endpoint, interval_s=3600):
            await asyncio.sleep(0)
            meter.count("records_received_total", 9, "logs")
        (export,) = it.exports
        points = labelled(decoded(export)["shipper_records_received_total"].sum.data_points)
        assert points[("logs",)].as_double == 9
    monkeypatch.setattr("shipper.telemetry.otlp.LAST_S", 0.05)

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client has gone
        writer.close()
        await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        async with exporting(meter, f"http://127.0.0.1:{port}", interval_s=3600):
            await asyncio.sleep(0)
        await ended.wait()
    assert "could not be sent over OTLP in time" in caplog.text


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with receiver() as it, receiver() as other:
        it.status = 307
        async with exporting(PrometheusMeter(), it.endpoint, api_key="key-1"):
            await it.until(2)
        assert other.requests == []


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/metrics"),
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("https://api.example/otlp", "https://api.example/otlp/v1/metrics"),
        ("https://api.example/otlp/v1/metrics", "https://api.example/otlp/v1/metrics"),
    ],
)
def test_the_path_is_added_to_an_address_that_is_without(endpoint: str, url: str) -> None:
    assert address(endpoint) == url


async def test_who_does_not_export_loads_nothing_of_it() -> None:
    script = (
        "import sys, shipper.daemon.running, shipper.telemetry.web; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'shipper.telemetry.page', "
        "'shipper.telemetry.status', 'shipper.telemetry.otlp', 'shipper.daemon.gathering', 'rich'))])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"


def test_the_body_is_small_when_zipped() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    made = message(meter.collect(), {}, "1", Span(1, 2))
    assert len(gzip.compress(made, 1)) < 20_000
