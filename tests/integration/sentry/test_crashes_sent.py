"""The daemon's own faults on their way to a server."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from aiohttp import web
from sentry_sdk.envelope import Envelope

from shipper.config.secret import Secret
from shipper.telemetry.crashes import FLUSH_S, reported
from shipper.telemetry.redaction import Redaction
from tests.servers.process import free_port


def _crash(dsn: str) -> float:
    """How long the end took."""
    began = time.monotonic()
    with suppress(ZeroDivisionError), reported(Secret(dsn), Redaction()):
        logging.getLogger("shipper.tests").error("it broke", exc_info=KeyError("one"))
        1 / 0  # noqa: B018
    return time.monotonic() - began


async def test_what_was_logged_and_what_ends_the_process_both_arrive() -> None:
    events: list[dict[str, Any]] = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        sent = Envelope.deserialize(await request.content.read()).get_event()
        events.append(dict(sent or {}))
        return web.json_response({})

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await asyncio.to_thread(_crash, f"http://key@127.0.0.1:{runner.addresses[0][1]}/1")
    finally:
        await runner.cleanup()
    assert [sent["exception"]["values"][-1]["type"] for sent in events] == ["KeyError", "ZeroDivisionError"]
    assert all(not sent.get("server_name") for sent in events)


async def test_a_server_that_is_not_there_holds_the_end_for_a_moment_alone() -> None:
    took = await asyncio.to_thread(_crash, f"http://key@127.0.0.1:{free_port()}/1")
    assert took < FLUSH_S + 1
