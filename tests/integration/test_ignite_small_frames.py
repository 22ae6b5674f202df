"""A server that sends one short line a DATA frame, faster than it is read, is read to its end on one connection."""

from __future__ import annotations

import asyncio

from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator
from shipper.ignite.connect import connect
from shipper.model import App

LINES = 30_000


async def test_a_burst_of_small_frames_does_not_end_the_connection() -> None:
    """hyper's guard against small frames ends such a connection (docs/decisions/0002-one-transport.md)."""
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print_all([f"{number}" for number in range(LINES)])
        platform = connect(settings_for(ignite))
        read = 0
        try:
            app = App("acme-corp", "checkout")
            async with asyncio.timeout(60), platform.stream_logs(app, pod.replica_id) as chunks:
                async for chunk in chunks:
                    if not read:
                        await asyncio.sleep(1.0)  # a reader that is held back, while the server goes on
                    read += len(chunk.times)
                    if read == LINES:
                        break
        finally:
            await platform.aclose()
        assert read == LINES


def settings_for(ignite: Emulator) -> IgniteSettings:
    """What a configuration file would say."""
    return IgniteSettings.model_validate(
        {
            "endpoint": ignite.endpoint,
            "organization": ignite.scenario.organization,
            "auth": {"type": "token", "token": ignite.scenario.token},
        }
    )
