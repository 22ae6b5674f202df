"""The way of a batch to a sink that takes records: unpacked, transformed, packed into parcels, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from shipper.deliver.attempt import broken, described, send_parcel
from shipper.deliver.courier import Delivery, Doubtful, Interrupted, Load, Watch
from shipper.deliver.doubt import Doubt, Trial, cuts
from shipper.deliver.leftovers import Leftovers
from shipper.deliver.parcels import Parcels, Piece, Refused
from shipper.deliver.patience import Patience
from shipper.deliver.port import Ledger
from shipper.deliver.report import Report
from shipper.deliver.retry import Draw
from shipper.deliver.slices import SLICE, slices
from shipper.deliver.trip import Packing, Trip
from shipper.entry import Entry
from shipper.errors import ArchiveDamaged
from shipper.model import DeadLetter
from shipper.sinks.port import Delivered, Dropped, Malformed, Parked, RecordSink, Rejected, Retry, TooLarge
from shipper.transform.port import Pipeline

BIG_SLICE: Final = 4 * SLICE
"""A slice is as big as this where a single line is: then a thread feeds it."""
LAST_WORD_S: Final = 0.5
"""How long a cancelled attempt may take to write down how far it came."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """`deadline_s`: the last resort against a sink that hangs. `save_s`: how often at most progress is written down
    while all goes well. `group`: bytes of NDJSON whose entries are packed together. `ahead`: parcels that may be
    made beyond the first one without an answer. `letters`: dead letters in one commit.
    """

    deadline_s: float = 600.0
    save_s: float = 1.0
    group: int = 4 * SLICE
    ahead: int = 64
    letters: int = 100


class RecordCourier:
    """Sends batches as parcels, up to the sink's `concurrency` of them at once over all batches.

    What is settled of a batch is its longest beginning of which every entry is delivered or buried. It is written
    down now and then, and at the end of each attempt that fails; the next one goes on there. In memory it is also
    known which parcels beyond it were accepted, so that only a restart sends them twice.
    """

    def __init__(
        self,
        sink: RecordSink,
        pipeline: Pipeline,
        ledger: Ledger,
        report: Report,
        patience: Patience,
        *,
        now_ms: Callable[[], float],
        draw: Draw,
        pacing: Pacing | None = None,
    ) -> None:
        self._sink = sink
        self._pipeline = pipeline
        self._ledger = ledger
        self._report = report
        self._patience = patience
        self._now_ms = now_ms
        self._draw = draw
        self._pacing = pacing or Pacing()
        self._room = asyncio.Semaphore(sink.concurrency)
        self._doubt = Doubt()
        self._trials: dict[int, Trial] = {}
        self._leftovers = Leftovers()

    async def deliver(self, load: Load, watch: Watch) -> Delivery:
        """One attempt."""
        try:
            return await self._attempt(load, watch)
        except Exception as error:
            about = (self._sink.name, load.batch.name)
            return Delivery(broken(about, described(error), error), _now(), load.batch)

    async def _attempt(self, load: Load, watch: Watch) -> Delivery:
        trip = self._begin(load)
        try:
            async with asyncio.TaskGroup() as group:
                await self._travel(trip, watch, group)
        except asyncio.CancelledError:
            await self._last_word(trip)
            raise
        self._conclude(trip)
        await self._save(trip)
        return self._delivery(trip)

    # ---- the way ----

    def _begin(self, load: Load) -> Trip:
        now = _now()
        batch = load.batch
        done = batch.done if batch.plan == self._pipeline.plan else 0
        parcels = self._leftovers.take(batch.batch_id, now) or Parcels(done, now)
        parcels.resume()
        step = self._pipeline.start(batch.partition, load.state)
        trial = self._trials.get(batch.batch_id, Trial())
        cut = slices(batch.codec, load.frames)
        return Trip(load, now, parcels, trial, step, cut, decided=now, saved=done, saved_at=now)

    async def _travel(self, trip: Trip, watch: Watch, group: asyncio.TaskGroup) -> None:
        """Send parcels until all are answered or something ends the attempt; those under way are waited for."""
        name = f"deliver {self._sink.name}: {trip.load.batch.name} parcel"
        while trip.end is None:
            trip.changed.clear()
            if await self._save_now_and_then(trip):
                continue
            width = watch.width(trip.began)
            if width == 0:
                trip.ends(Interrupted(), _now())
            elif trip.parcels.in_flight >= width:
                await trip.changed.wait()
            elif (piece := await self._next(trip)) is not None:
                await self._room.acquire()
                if trip.end is None and watch.width(trip.began):
                    group.create_task(self._send(trip, piece, watch), name=name)
                    await asyncio.sleep(0)  # making a parcel takes time: whoever else has work goes first
                else:
                    self._room.release()
                    trip.parcels.give_back(piece)
            elif trip.parcels.in_flight:
                await trip.changed.wait()
            elif not self._goes_on(trip):
                break

    async def _next(self, trip: Trip) -> Piece | None:
        """The next parcel to send: one that waits, or a new one; None if there is none now."""
        while trip.end is None:
            more = not trip.complete and trip.parcels.unsettled < self._pacing.ahead
            if not (more and trip.parcels.wants_more(doubtful=self._doubt.suspicious)):
                return trip.parcels.take(doubtful=self._doubt.suspicious)
            try:
                if not self._pack(trip):
                    await self._feed(trip)
            except ArchiveDamaged as error:
                trip.ends(Rejected(f"a frame cannot be unpacked: {error}"), _now())
            except Exception as error:
                self._broke(trip, error)
        return None

    def _pack(self, trip: Trip) -> bool:
        """Make one parcel; False if there is nothing to pack."""
        packing = trip.packing
        if packing is None:
            return False
        parcel = next(packing.parcels, None)
        if parcel is not None:
            trip.parcels.add(packing.base, packing.entries, parcel)
            return True
        if trip.parcels.packed < packing.base + len(packing.entries):
            raise ValueError("not every entry is in a parcel")
        trip.packing = None
        return False

    async def _feed(self, trip: Trip) -> None:
        """Make entries of the next lines, leaving out those that were packed before."""
        entries: list[Entry] = []
        size = 0
        while size < self._pacing.group and not trip.all_fed:
            ndjson = next(trip.slices, None)
            if ndjson is None:
                trip.all_fed = True
                made = trip.step.flush() if trip.load.held else []
            elif len(ndjson) > BIG_SLICE:
                made = await asyncio.to_thread(trip.step.feed, ndjson)
            else:
                made = trip.step.feed(ndjson)
                await asyncio.sleep(0)  # whoever else has work on the loop goes first
            size += len(ndjson or b"")
            entries += made[max(trip.parcels.packed - trip.fed, 0) :]
            trip.fed += len(made)
        if entries:
            parcels = self._sink.pack(trip.load.batch.partition, entries)
            trip.packing = Packing(trip.fed - len(entries), entries, iter(parcels))

    async def _send(self, trip: Trip, piece: Piece, watch: Watch) -> None:
        began = _now()
        try:
            answer = await send_parcel(
                self._sink, piece.parcel, trip.load.batch, deadline_s=self._pacing.deadline_s
            )
        finally:
            self._room.release()
        self._report.attempted(answer, _now() - began)
        match answer:
            case Delivered():
                trip.moved = True
                self._doubt = self._doubt.accepted()
                trip.parcels.delivered(piece)
                watch.accepted(began)
            case Dropped(_, dropped, altered):
                trip.parcels.dropped(piece, dropped, altered)
            case Retry() | Parked():
                trip.parcels.give_back(piece)
                trip.ends(answer, began)
            case TooLarge(reason) | Malformed(reason):
                self._refuse(trip, piece, reason, began)
        trip.changed.set()

    # ---- what is refused ----

    def _refuse(self, trip: Trip, piece: Piece, reason: str, began: float) -> None:
        """A parcel is too large or holds something that will never be taken: look for it in smaller ones."""
        entries = piece.entries
        self._doubt = self._doubt.refused_parcel(len(entries))
        if len(entries) > 1:
            try:
                self._split(trip, piece)
            except Exception as error:
                self._broke(trip, error)
            return
        doubt, allowed = self._doubt, self._allowed(trip)
        certain = trip.trial.cleared(doubt) or not (doubt.suspicious or doubt.singles >= allowed)
        trip.parcels.refused(piece, reason, doubt.acceptances, certain=certain)
        trip.singles = trip.singles + 1 if trip.acceptances == doubt.acceptances else 1
        trip.acceptances = doubt.acceptances
        if trip.singles >= allowed:
            trip.ends(Doubtful(reason), began)

    def _allowed(self, trip: Trip) -> int:
        return trip.trial.allowed(self._doubt, moved=trip.moved)

    def _split(self, trip: Trip, piece: Piece) -> None:
        partition, sort = trip.load.batch.partition, piece.parcel.sort
        parts = []
        for start, stop in cuts(len(piece.entries), suspicious=self._doubt.suspicious, draw=self._draw):
            some = piece.entries[start:stop]
            packed = self._sink.pack(partition, some)
            parts.append((start, some, [one for one in packed if one.sort == sort or one.body is None]))
        trip.parcels.split(piece, parts)

    def _goes_on(self, trip: Trip) -> bool:
        """Nothing is to be sent or under way: bury what was refused, unless it is too much to be believed."""
        before = trip.parcels.settled
        self._advance(trip, bury_all=self._doubt.singles < self._allowed(trip))
        asked_again = trip.parcels.weight > 0
        return trip.end is not None or asked_again or (not trip.complete and trip.parcels.settled > before)

    def _conclude(self, trip: Trip) -> None:
        """All is answered that was sent: say how the attempt ended."""
        self._advance(trip)
        if trip.end is None:
            whole = trip.complete and trip.parcels.settled == trip.fed
            trip.end = Delivered() if whole else Doubtful(trip.parcels.first_reason)
        batch_id = trip.load.batch.batch_id
        if isinstance(trip.end, Doubtful):
            trip.end = self._doubtful(trip, trip.end.reason)
        if isinstance(trip.end, Delivered | Rejected):
            self._trials.pop(batch_id, None)
        elif not (trip.load.held or trip.broken):
            self._leftovers.keep(batch_id, trip.parcels)

    def _doubtful(self, trip: Trip, reason: str) -> Doubtful | Parked | Interrupted:
        if self._doubt.refused == 0:
            return Interrupted()  # something was accepted after all: what was refused is to blame itself
        stands = self._doubt.stands
        self._trials[trip.load.batch.batch_id] = trip.trial.doubtful(self._doubt)
        self._doubt = self._doubt.doubtful()
        if not stands:
            return Doubtful(reason)
        return Parked(
            f"the destination refuses every record that it was given, which looks like a wrong address or a fault of "
            f"its own and not like bad records: {reason}"
        )

    # ---- writing down ----

    def _advance(self, trip: Trip, *, bury_all: bool = False) -> None:
        settled = trip.parcels.advance(self._doubt.acceptances, bury_all=bury_all)
        self._report.settled(trip.load.batch.partition.kind, settled)
        trip.letters += [self._letter(trip, one) for one in settled.refused]

    def _letter(self, trip: Trip, refused: Refused) -> DeadLetter:
        return DeadLetter(
            sink=self._sink.name,
            partition=trip.load.batch.partition,
            buried_ms=int(self._now_ms()),
            timestamp_ms=refused.entry.timestamp_ms,
            reason=refused.reason,
            record=self._pipeline.encode([refused.entry]),
        )

    async def _save_now_and_then(self, trip: Trip) -> bool:
        """Whether it took time, in which anything may have happened."""
        self._advance(trip)
        now = _now()
        due = now >= trip.saved_at + self._pacing.save_s
        if len(trip.letters) < self._pacing.letters and not (due and trip.parcels.settled > trip.saved):
            return False
        await self._save(trip)
        return True

    async def _save(self, trip: Trip) -> None:
        """First the letters, then the progress that leaves them behind: cut off in between, they are buried twice."""
        if trip.letters:
            await self._patience.insist("bury dead letters", lambda: self._ledger.bury(trip.letters))
            self._report.buried(trip.load.batch, trip.letters)
            trip.letters = []
        done = trip.parcels.settled
        if done > trip.saved and not (trip.load.held or isinstance(trip.end, Delivered)):
            batch, plan = trip.load.batch, self._pipeline.plan
            await self._patience.insist(
                "write down progress", lambda: self._ledger.progressed(batch, done, plan)
            )
            trip.saved = done
        trip.saved_at = _now()

    async def _last_word(self, trip: Trip) -> None:
        """On the way out of a cancelled attempt, one try to write down what would else be sent twice."""
        if trip.load.held:
            return
        with suppress(Exception):
            self._advance(trip)
            done = trip.parcels.settled
            async with asyncio.timeout(LAST_WORD_S):
                if trip.letters:
                    await self._ledger.bury(trip.letters)
                if done > trip.saved:
                    await self._ledger.progressed(trip.load.batch, done, self._pipeline.plan)

    def _delivery(self, trip: Trip) -> Delivery:
        end = trip.end
        assert end is not None
        batch = trip.load.batch
        if isinstance(end, Delivered):
            return Delivery(end, trip.decided, batch, ending=trip.step.finish(), moved=trip.moved)
        if not trip.load.held:
            batch = replace(batch, done=trip.parcels.settled, plan=self._pipeline.plan)
        return Delivery(end, trip.decided, batch, moved=trip.moved)

    def _broke(self, trip: Trip, error: Exception) -> None:
        trip.broken = True
        about = (self._sink.name, trip.load.batch.name)
        trip.ends(broken(about, f"packing records failed: {described(error)}", error), _now())


def _now() -> float:
    return asyncio.get_running_loop().time()
