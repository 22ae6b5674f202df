"""What a daemon does not load: memory that nobody pays who does not use it."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from shipper.emulator import Emulator
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import Shipper

_IMPORTED = re.compile(r"^import time: .*\| +([\w.]+)$", re.MULTILINE)

ELSEWHERE = {
    "pydantic": "configurations are checked in another process",
    "pydantic_core": "the same",
    "yaml": "the same",
    "shipper.config.section": "the same",
    "grpc": "the emulator's alone",
    "rich": "the demo's and `top`'s",
    "shipper.emulator": "the demo's",
    "shipper.inspect": "commands'",
    "shipper.ignite.gateway": "of platforms over HTTP",
    "shipper.ignite.http11": "the same",
    "shipper.ignite.token_endpoint": "of clients with credentials",
    "tenacity": "the same",
    "shipper.sinks.datadog": "a sink that is not configured",
    "shipper.sinks.sentry": "a sink that is not configured",
    "datadog_api_client": "a sink that is not configured",
    "sentry_sdk": "neither a sink nor crash reports are configured",
    "re2": "no expressions are configured",
    "shipper.transform.pipeline": "no records are transformed",
    "opentelemetry": "no metrics are pushed",
    "shipper.telemetry.otlp": "the same",
    "shipper.telemetry.page": "nobody has looked at the status",
    "shipper.daemon.gathering": "the same",
    "shipper.daemon.trying": "the command `check --connect`",
    "aiohttp.web": "all of aiohttp's server, of which telemetry needs the smaller part",
    "boto3": "botocore is enough",
    "multiprocessing": "",
    "unittest": "",
}
"""By module, and why it is not needed with an S3 sink and nothing else."""


async def test_a_daemon_with_a_bucket_loads_nothing_that_it_does_not_use(shipper: Make) -> None:
    async with Emulator() as ignite:
        daemon = shipper(ignite.endpoint)
        # Nobody listens there: the sink has its client all the same.
        daemon.sinks = (
            "  archive: {type: s3, bucket: logs, region: eu-central-1, endpoint_url: 'http://127.0.0.1:9', "
            "access_key_id: a, secret_access_key: b}"
        )
        ignite.app("checkout").start_replica().print("one line")
        await start_noting_imports(daemon)
        await daemon.until(lambda seen: seen.get('shipper_records_committed_total{kind="logs"}', 0) >= 1)
        imported = set(_IMPORTED.findall(daemon.said()))
    assert {"shipper.daemon.running", "aiobotocore.client", "shipper.ignite.grpc"} <= imported
    needless = {
        name for name in imported for heavy in ELSEWHERE if name == heavy or name.startswith(f"{heavy}.")
    }
    assert needless == set()


async def start_noting_imports(daemon: Shipper) -> None:
    """As `daemon.start()`; the interpreter notes each import in the log. The process that examines notes none."""
    config: Path = daemon.write()
    with daemon.log.open("ab") as log:
        daemon.process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "importtime", "-m", "shipper", "run", "--config", str(config),
            stdout=log, stderr=log,
        )  # fmt: skip
