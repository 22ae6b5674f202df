"""The telemetry server moves to another address, or stays where it is."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import pytest

from shipper.config.endpoint import Address
from shipper.daemon.listening import Listening
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.web import TelemetryServer
from tests.servers.process import free_port


def listening() -> Listening:
    meter = PrometheusMeter()

    def make(address: Address) -> TelemetryServer:
        return TelemetryServer(
            address.host, address.port, meter=meter, liveness=Liveness(meter), readiness=Readiness({})
        )

    return Listening(make)


async def answers(host: str, port: int) -> bool:
    try:
        return await asyncio.to_thread(_ask, f"http://{host}:{port}/healthz")
    except OSError:
        return False


def _ask(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status == 200


async def test_it_moves_from_nowhere_to_a_port_to_another_and_to_nowhere() -> None:
    it = listening()
    await it.move(None)
    one, other = free_port(), free_port()
    await it.move(Address("127.0.0.1", one))
    assert await answers("127.0.0.1", one)
    await it.move(Address("127.0.0.1", other))
    assert await answers("127.0.0.1", other)
    assert not await answers("127.0.0.1", one)
    await it.move(None)
    assert not await answers("127.0.0.1", other)
    await it.aclose()


async def test_it_moves_to_another_host_with_the_same_port() -> None:
    """Where the former is in the way of the new: 0.0.0.0 is all hosts."""
    it = listening()
    port = free_port()
    await it.move(Address("127.0.0.1", port))
    await it.move(Address("127.0.0.2", port))
    assert await answers("127.0.0.2", port)
    assert not await answers("127.0.0.1", port)
    await it.aclose()


@pytest.mark.parametrize("same_port", [False, True])
async def test_where_it_cannot_move_it_stays(same_port: bool) -> None:
    it = listening()
    with socket.create_server(("127.0.0.2", 0)) as taken:
        there = taken.getsockname()[1]
        here = there if same_port else free_port()
        await it.move(Address("127.0.0.1", here))
        with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.2"):
            await it.move(Address("127.0.0.2", there))
        assert it.address == Address("127.0.0.1", here)
        assert await answers("127.0.0.1", here)
    await it.aclose()
