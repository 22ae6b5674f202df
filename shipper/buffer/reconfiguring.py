"""Other sinks and other routes while the buffer is open.

A sink that leaves the configuration is retired: it takes nothing new and keeps what it is still to get. When that is
delivered, or nobody wants it any more, the sink is removed, and what it had not taken is a loss.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from shipper.buffer.ledger import Ledger
from shipper.buffer.loading import Setup, record_losses, write_slots
from shipper.buffer.removing import remove_sinks
from shipper.buffer.routing import Router
from shipper.buffer.slots import Slots, assign, sinks_of
from shipper.buffer.values import Route, Sinks, WhenFull
from shipper.errors import BufferUnavailable
from shipper.model import Codec

log = logging.getLogger("shipper.buffer")


def changed(before: Setup, *, sinks: Sinks, when_full: WhenFull, codec: Codec, route: Route | None) -> Setup:
    """The setup that takes the place of `before`: sinks that are no longer named are retired.

    ValueError where these are too many together.
    """
    retired = {name: kinds for name, kinds in before.sinks.items() if name not in sinks}
    every = sinks_of({**sinks, **retired})
    return Setup(every, when_full, before.clock, codec, route, frozenset(retired))


def reconfigure(ledger: Ledger, setup: Setup) -> None:
    """From the next commit on it is as the setup says. Sinks that are new get what is committed from now on."""
    stored = {slot.name: (slot.number, slot.from_frame) for slot in ledger.slots}
    slots = assign(setup.sinks, stored, ledger.next_frame, setup.retired)
    write_slots(ledger.database, [slot for slot in slots if slot.name not in stored])
    _serve(ledger, slots, setup)
    ledger.when_full, ledger.codec = setup.when_full, setup.codec
    ledger.said_unrouted = False
    ledger.notes.freed = True  # whoever waits for room may find that less is wanted, or more is allowed


def remove(ledger: Ledger, setup: Setup, name: str) -> Setup:
    """Forget a retired sink; the setup without it. Nothing happens to a sink that is not retired.

    What it had not taken and no other sink gets is recorded as a gap.
    """
    slot = ledger.slots.get(name)
    if slot is None or not slot.retired:
        return setup
    frames, size, records = ledger.index.backlog(slot)
    remove_sinks(ledger, [name], all_taken=not (frames or records))
    if frames:
        ledger.garbage.add(slot.from_frame, ledger.next_frame - 1, frames, size)
    rest = {other: kinds for other, kinds in setup.sinks.items() if other != name}
    setup = replace(setup, sinks=rest, retired=setup.retired - {name})
    _serve(ledger, Slots(other for other in ledger.slots if other.name != name), setup)
    try:
        record_losses(ledger)
    except BufferUnavailable as error:
        log.warning("known losses are not recorded yet, this is done at the next start: %s", error)
    return setup


def _serve(ledger: Ledger, slots: Slots, setup: Setup) -> None:
    ledger.slots = slots
    ledger.router = Router(slots, setup.route)
    ledger.index.serve(slots)
