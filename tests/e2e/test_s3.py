"""The daemon against S3 servers that answer 503, reset after accepting and stall: printed == archived all the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from shipper.archive.codec import decode, decompress
from shipper.emulator import Emulator
from shipper.emulator.ledger import compare
from shipper.model import Codec
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import printed
from tests.servers.fault_proxy import SLOW_DOWN, Fault, FaultProxy
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, Store, find_versitygw, moto, versitygw
from tests.servers.tls import make_tls

BUCKET = "acme-logs"
FAULTS = [SLOW_DOWN, Fault.RESET, Fault.LOSE_ANSWER, Fault.STALL, Fault.TRUNCATE, Fault.PASS]


@pytest.fixture(params=["moto over http", "moto over https", "versitygw"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Path | None]]:
    """A store, and the folder of a certificate where the daemon has to speak TLS."""
    with ExitStack() as stack:
        if request.param == "versitygw":
            program = find_versitygw()
            if program is None:
                pytest.skip("versitygw is not installed; see tests/servers/s3.py")
            store = stack.enter_context(versitygw(program, tmp_path))
        else:
            store = stack.enter_context(moto(tmp_path))
        store.make_bucket(BUCKET)
        yield store, tmp_path if request.param.endswith("https") else None


async def test_printed_is_archived_whatever_the_store_does(
    server: tuple[Store, Path | None], shipper: Make
) -> None:
    store, certificate = server
    rng = random.Random(503)
    async with AsyncExitStack() as stack:
        tls = make_tls(certificate) if certificate is not None else None
        proxy = await stack.enter_async_context(
            FaultProxy(store.endpoint_url, tls.server_context() if tls else None)
        )
        ignite = await stack.enter_async_context(Emulator())
        proxy.plan(rng.choice(FAULTS) for _ in range(40))
        daemon = shipper(ignite.endpoint, settings="shutdown: {timeout: 60s}")
        daemon.sinks = sink(proxy.url, tls.ca_file if tls else None)
        await daemon.start()
        pods = [ignite.app(name).start_replica() for name in ("checkout", "search")]
        for number in range(400):
            for pod in pods:
                pod.print(f"line {number}")
            await asyncio.sleep(0.01)
        total = len(ignite.ledger.lines)
        await daemon.until(lambda seen: seen.get('shipper_records_received_total{kind="logs"}', 0) >= total)
        await until_faults_are_used(proxy)
        assert await daemon.stop(within_s=90) == 0, daemon.said()[-3000:]
        result = compare(ignite.ledger.counter(), lines_in(store))
        assert result.equal, (result.missing.most_common(3), result.surplus.most_common(3))
        assert "drained: everything collected is delivered" in daemon.said()


def sink(url: str, ca_file: Path | None) -> str:
    trust = f", ca_file: {ca_file}" if ca_file else ""
    return (
        f"  archive: {{type: s3, bucket: {BUCKET}, prefix: ignite, region: {REGION}, endpoint_url: '{url}', "
        f"access_key_id: {ACCESS_KEY}, secret_access_key: {SECRET_KEY}, request_timeout: 1s, "
        f"batch: {{max_age: 300ms, max_size: 1MiB}}{trust}}}"
    )


async def until_faults_are_used(proxy: FaultProxy) -> None:
    """Enough requests met a fault; from here on the store is well."""
    async with asyncio.timeout(60):
        while len(proxy.requests) < 8:
            await asyncio.sleep(0.05)
    proxy.script.clear()


def lines_in(store: Store):  # type: ignore[no-untyped-def]
    for key, body in store.objects(BUCKET).items():
        if "kind=logs" in key:
            yield from (printed(record) for record in decode(decompress(Codec.ZSTD, body)))
