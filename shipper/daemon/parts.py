"""Everything that the daemon is made of, built and opened in the order in which it must close again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from shipper.buffer import Buffer, WhenFull
from shipper.collect.intake import Intake, may_wait
from shipper.config.endpoint import Address
from shipper.control.letters import letter_calls
from shipper.control.server import ControlServer
from shipper.control.tapping import tap_calls
from shipper.control.taps import Show, Taps
from shipper.daemon.collecting import ASKED, CONNECTED, Collecting, Connection
from shipper.daemon.delivering import Delivering
from shipper.daemon.equipping import equipped, frame_codec, routing
from shipper.daemon.listening import Listening
from shipper.daemon.serving import WRITABLE, Daemon
from shipper.daemon.sight import Sight
from shipper.meter import Meter
from shipper.model import Gap
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.web import TelemetryServer

if TYPE_CHECKING:
    from shipper.config.settings import Settings
    from shipper.telemetry.facts import Facts, Query


@asynccontextmanager
async def parts(
    settings: Settings, sight: Sight | None = None, hide: Callable[[str], str] = str
) -> AsyncIterator[Daemon]:
    """Everything built and opened, in the order in which it must close again. `hide` takes secrets out of texts."""
    sight = sight or Sight()
    meter = PrometheusMeter(sinks=tuple(settings.sinks), heard=sight.counts.heard())
    liveness = Liveness(meter)
    readiness = Readiness({CONNECTED: ASKED, WRITABLE: "the buffer is not open"})

    def telemetry(address: Address) -> TelemetryServer:
        return TelemetryServer(
            address.host, address.port, meter=meter, liveness=liveness, readiness=readiness
        )

    async with AsyncExitStack() as stack:
        buffer = await open_buffer(settings, meter, sight.gaps.append)
        stack.push_async_callback(buffer.close)
        readiness.met(WRITABLE)
        listening = Listening(telemetry)
        stack.push_async_callback(listening.aclose)
        await listening.move(settings.telemetry.listen)
        delivering = Delivering(buffer, meter)
        stack.push_async_callback(delivering.aclose)
        async with AsyncExitStack() as undo:
            equipment = {name: await equipped(settings, name, undo) for name in settings.sinks}
            undo.pop_all()
        for name, one in equipment.items():
            delivering.put(name, one)
        hold_at = may_wait(settings.buffer.max_size, buffer.largest_commit)
        intake = Intake(buffer, frame_codec(settings), meter, hold_at=hold_at)
        intake.noticed = sight.gaps.append
        cursors = await buffer.cursors()
        connection = Connection.of(settings.ignite, meter)
        collecting = Collecting(settings, connection, buffer, intake, meter, readiness, cursors)
        stack.push_async_callback(collecting.aclose)

        def tapped(show: Show | None) -> None:
            intake.tap = show

        calls = {**letter_calls(buffer.letters), **tap_calls(Taps(tapped))}
        control = ControlServer(settings.buffer.path, calls)
        daemon = Daemon(
            settings, meter, buffer, delivering, intake, collecting, listening, liveness, readiness, control
        )
        listening.show(lambda query: look(daemon, sight, query), hide)
        yield daemon


def look(daemon: Daemon, sight: Sight, query: Query) -> Facts:
    """What the status shows."""
    from shipper.daemon.gathering import gather  # where nobody looks, it is not loaded

    return gather(daemon, daemon.settings, sight, query)


async def open_buffer(
    settings: Settings, meter: Meter, noticed: Callable[[Gap], None] | None = None
) -> Buffer:
    """The buffer that the settings name, as the daemon and the commands use it."""
    return await Buffer.open(
        settings.buffer.path,
        max_size=settings.buffer.max_size,
        when_full=WhenFull(settings.buffer.when_full),
        sinks=tuple(settings.sinks),
        meter=meter,
        codec=frame_codec(settings),
        route=routing(settings),
        noticed=noticed,
    )
