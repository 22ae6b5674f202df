"""What the real daemon tells of itself while it runs: /api/status, the page, `shipper top` and `shipper tap`."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from shipper.emulator import Emulator, Scenario
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import Shipper, delivered

SECRETS = ("emulator-token", "AKIAEXAMPLEEXAMPLE00", "a-secret-access-key-that-nobody-sees")


async def fetched(daemon: Shipper, path: str) -> str:
    """The answer to a GET; empty while nobody answers."""

    def get() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    return await asyncio.to_thread(get)


async def status(
    daemon: Shipper, ready: Callable[[Any], bool], parameters: str = "", within_s: float = 30.0
) -> Any:
    """The status, as soon as it is as wanted."""
    seen: Any = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                text = await fetched(daemon, f"/api/status{parameters}")
                seen = json.loads(text) if text else None
                if seen is not None and ready(seen):
                    return seen
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never as wanted; last: {json.dumps(seen, indent=1)}") from None


@asynccontextmanager
async def forbidding_store() -> AsyncIterator[str]:
    """An object store that knows the key and refuses everything; it repeats what it was sent."""

    async def refuse(request: web.Request) -> web.Response:
        await request.read()
        body = f"<Error><Code>AccessDenied</Code><Message>no: {request.headers.get('Authorization')}</Message></Error>"
        return web.Response(status=403, text=body, content_type="application/xml")

    application = web.Application(client_max_size=1 << 26)
    application.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


async def test_the_status_says_what_is_there_and_a_refused_upload_parks_its_sink_alone(shipper: Make) -> None:
    async with Emulator(Scenario()) as ignite, forbidding_store() as store:
        pods = [ignite.app(name).start_replica() for name in ("checkout", "checkout", "mail")]
        for pod in pods:
            pod.print("hello")
        archive = (
            "  local: {{type: directory, path: {}/archive, batch: {{max_age: 300ms, max_size: 1MiB}}}}\n"
        )
        daemon = shipper(ignite.endpoint)
        daemon.sinks = archive.format(daemon.folder) + (
            "  away: {type: s3, bucket: logs, region: eu-central-1, endpoint_url: '" + store + "', "
            f"access_key_id: {SECRETS[1]}, secret_access_key: {SECRETS[2]}, "
            "batch: {max_age: 300ms, max_size: 1MiB}}"
        )
        await daemon.start()
        seen = await status(daemon, lambda now: now["streams"].get("logs", {}).get("live") == 3)
        assert seen["v"] == 1
        assert seen["apps"]["total"] == 2
        assert {one["replica"] for one in seen["replicas"]["items"]} == {pod.replica_id for pod in pods}
        assert all(one["app"].startswith("acme-corp/") for one in seen["replicas"]["items"])
        assert seen["platform"]["dialect"] == "gRPC, field numbers from server reflection"
        features = {one["name"]: one["on"] for one in seen["platform"]["features"]}
        assert (features["logs"], features["events"]) == (True, True)

        seen = await status(
            daemon,
            lambda now: (
                {one["name"]: one["state"] for one in now["sinks"]} == {"local": "healthy", "away": "parked"}
            ),
        )
        assert seen["verdict"]["text"] == "Nothing is being lost, but something needs a look."
        (finding,) = [one for one in seen["verdict"]["findings"] if one["about"] == "away"]
        assert finding["level"] == "warning"
        assert "takes nothing until someone acts" in finding["text"]
        await daemon.until(delivered("logs", 3))
        seen = await status(daemon, lambda now: now["sinks"][0]["last_delivery_at"] is not None)
        away = next(one for one in seen["sinks"] if one["name"] == "away")
        assert away["backlog_records"] >= 3
        assert away["last_error"]["at"] is not None

        page = await fetched(daemon, "/")
        assert "The sink away takes nothing until someone acts" in page
        whole = json.dumps(await status(daemon, lambda _: True)) + page + await fetched(daemon, "/metrics")
        assert not [secret for secret in SECRETS if secret in whole]
        assert '"***"' in whole
        assert "hello" not in whole, "no line of a log is shown"
        await daemon.stop()


async def test_a_platform_that_goes_away_is_told_and_so_is_why_its_streams_ended(shipper: Make) -> None:
    async with Emulator(Scenario()) as ignite:
        ignite.app("checkout").start_replica().print("hello")
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await status(daemon, lambda now: now["streams"].get("logs") == {"live": 1})
        await daemon.until(delivered("logs", 1))
    seen = await status(
        daemon,
        lambda now: (
            now["streams"].get("logs") == {"waiting": 1}
            and now["verdict"]["level"] in ("warning", "critical")
        ),
    )
    assert seen["platform"]["last_error"]["text"]
    (stream,) = seen["replicas"]["items"][0]["subscriptions"]
    assert stream["last_end"]
    await daemon.stop()


async def test_a_page_of_replicas_and_single_keys_can_be_asked_for_and_nonsense_is_refused(
    shipper: Make,
) -> None:
    async with Emulator(Scenario()) as ignite:
        for number in range(7):
            ignite.app(f"app-{number}").start_replica()
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await status(daemon, lambda now: now["replicas"]["total"] == 7)
        seen = await status(daemon, lambda _: True, "?app=app-[0-4]&limit=2&offset=4&only=replicas")
        assert set(seen) == {"v", "at", "replicas"}
        assert (seen["replicas"]["matching"], len(seen["replicas"]["items"])) == (5, 1)
        for bad in ("limit=x", "limit=100000", "offset=-1", "apps=x", "app=" + "x" * 300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/api/status?{bad}", timeout=5)
            except urllib.error.HTTPError as error:
                assert error.code == 400, bad
                error.close()
            else:
                raise AssertionError(bad)
        await daemon.stop()


async def test_top_and_tap_show_the_running_daemon(shipper: Make) -> None:
    async with Emulator(Scenario()) as ignite:
        pod = ignite.app("checkout").start_replica()
        daemon = shipper(ignite.endpoint)
        await daemon.start()
        await status(daemon, lambda now: now["streams"].get("logs") == {"live": 1})
        config = str(daemon.folder / "shipper.yaml")
        tapping = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shipper", "tap", "--config", config, "--kind", "logs", "--limit", "2",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        while tapping.returncode is None:
            pod.print("a line")
            await asyncio.sleep(0.1)
        assert tapping.stdout is not None
        lines = (await tapping.stdout.read()).decode().splitlines()
        assert len(lines) == 2
        assert all(line.endswith(f"checkout/{pod.replica_id} out  a line") for line in lines)
        top = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shipper", "top", "--config", config, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await top.communicate()
        assert pod.replica_id in out.decode()
        assert await daemon.stop() == 0


async def test_metrics_are_pushed_over_otlp_and_once_more_at_the_end(shipper: Make) -> None:
    exports: list[ExportMetricsServiceRequest] = []

    async def take(request: web.Request) -> web.Response:
        exports.append(ExportMetricsServiceRequest.FromString(await request.read()))
        return web.Response()

    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/metrics", take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    async with Emulator(Scenario()) as ignite:
        ignite.app("checkout").start_replica().print("one")
        daemon = shipper(ignite.endpoint)
        daemon.telemetry = f', otlp: {{endpoint: "http://127.0.0.1:{port}", interval: 1h}}'
        await daemon.start()
        await daemon.until(delivered("logs", 1))
        assert await daemon.stop() == 0
    await runner.cleanup()
    (export,) = exports
    (scope,) = export.resource_metrics[0].scope_metrics
    points = next(
        one for one in scope.metrics if one.name == "shipper_records_delivered_total"
    ).sum.data_points
    counted = {
        tuple(sorted(label.value.string_value for label in point.attributes)): point.as_double
        for point in points
    }
    assert counted["local", "logs"] == 1
