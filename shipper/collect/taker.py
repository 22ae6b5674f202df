"""What becomes of one replica's lines: the cursor says which are new, intake takes them, and what is missing
between them becomes a gap.

A gap that shows where one history ends and another begins is judged by the listing. If the container was read
to its end and is the one before the present one, nothing is missing. Listings may be stale, so until two have
been seen the gap is a doubt; it is kept in the cursor, where it survives the process.

A stream that ends in good order is believed to have brought everything. Where a gateway ends streams so while the
container goes on, lines that it prints before its own end go unnoticed if it ends before the stream is open again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shipper.archive.codec import LogIdentity
from shipper.collect.context import Context
from shipper.collect.cursor import Cursor, Doubt, Sifted, Stretch
from shipper.collect.fingerprint import fingerprints
from shipper.ignite.port import LogChunk
from shipper.model import GapReason, Kind, Replica

LOOKS: Final = 2  # listings that may be stale before a doubt becomes a gap
DISORDER_MS: Final = (
    1_000  # lines are out of order by that: some may be missing just outside of what shows it
)
BRIEF_S: Final = 5.0  # a connection that ends sooner has only read what a container that ended has to say


@dataclass(slots=True, eq=False)
class Taker:
    """One replica's lines, over all its connections. `replica` is what the newest listing says of it."""

    replica: Replica
    cursor: Cursor
    context: Context
    received: int = 0  # lines, repeats too
    _at_begin: int = 0  # `received` when the present connection began
    _before: int = 0  # the container that had been taken when it began
    _anew: bool = False  # the listing showed another container when it began
    _took: bool = False  # it brought something new
    _hushed: bool = False  # a container ended without a word; which one it was, the next listing says
    _looks: int = 0
    _outlived: int = 0
    _blind: bool = False

    # ---- a connection ----

    def begin(self) -> None:
        """A new connection replays from the start; the listing may show another container than was taken last."""
        cursor, replica = self.cursor, self.replica
        self._before = cursor.restart_count
        self._anew = replica.restart_count > cursor.restart_count or self._recreated
        self._took, self._outlived, self._at_begin = False, 0, self.received
        cursor.begin(restarted=self._anew, certainly=replica.started_ms != cursor.started_ms)

    def take(self, chunk: LogChunk) -> None:
        """Take what is new of a chunk. Synchronous, so that no line is ever without its cursor."""
        if chunk.undecodable:
            self._undecodable(chunk.undecodable)
        if not chunk.times:
            return
        self.received += len(chunk.times)
        first_ever = self.cursor.newest is None
        sifted = self.cursor.sift(chunk.times, lambda: fingerprints(chunk.times, chunk.streams, chunk.lines))
        if sifted.gap is not None:
            self._judge(sifted.gap)
        elif first_ever:
            self._judge_first(chunk.times[0])
        if sifted.repeats:
            self.context.meter.count("duplicates_suppressed_total", sifted.repeats, Kind.LOGS.value)
        self._hand_over(chunk, sifted)

    def end(self, *, ok: bool, lasted_s: float | None) -> None:
        """Note how a connection ended: the next one, perhaps of another process, judges a gap by it.

        `lasted_s` is how long the server had been answering, None if it never did.
        """
        cursor = self.cursor
        gap = cursor.end()
        if gap is not None:
            self._judge(gap)
        restarts = self.replica.restart_count - cursor.restart_count
        received = self.received > self._at_begin
        clean = cursor.clean
        if ok:
            if not received and clean and restarts == 1:  # that container ended and had nothing to say
                cursor.restart_count = self.replica.restart_count
            clean = clean or received
            self._hushed = not clean and cursor.newest is None and restarts <= 0
        elif self._took or (lasted_s is not None and lasted_s >= BRIEF_S and restarts <= 0):
            clean = False
        if clean != cursor.clean:
            cursor.clean = clean
            self.context.intake.touch(cursor)

    @property
    def complete(self) -> bool:
        """Whether everything that this replica is known to have printed was read to its end."""
        clean = self.cursor.clean or self._hushed
        return clean and self.replica.restart_count <= self.cursor.restart_count

    @property
    def _recreated(self) -> bool:
        """A pod of the same name as one that is gone counts from zero."""
        replica, cursor = self.replica, self.cursor
        return replica.restart_count < cursor.restart_count and replica.started_ms > cursor.started_ms > 0

    # ---- taking ----

    def _hand_over(self, chunk: LogChunk, sifted: Sifted) -> None:
        keep = sifted.keep
        times: Sequence[int] = chunk.times
        streams: Sequence[str | None] = chunk.streams
        lines: Sequence[str | bytes] = chunk.lines
        if keep is not None:
            if not keep:
                return
            times = [times[index] for index in keep]
            streams = [streams[index] for index in keep]
            lines = [lines[index] for index in keep]
        self._took = True
        self._note_container(max(times))
        self.context.intake.take_logs(self._identity(), times, streams, lines, self.cursor)

    def _note_container(self, newest: int) -> None:
        """Whose lines were taken. A stream may lag behind the listing: what is older than the container that
        the listing shows is of the one before.
        """
        cursor, replica = self.cursor, self.replica
        cursor.clean = False
        if newest < replica.started_ms:
            return
        if replica.restart_count > cursor.restart_count or self._recreated:
            cursor.restart_count = replica.restart_count
        cursor.started_ms = replica.started_ms

    def _identity(self) -> LogIdentity:
        replica = self.replica
        app = replica.app
        return LogIdentity(
            app.organization, app.name, replica.replica_id, replica.cluster_id, replica.node_name
        )

    # ---- listings ----

    def update(self, replica: Replica, *, streaming: bool) -> None:
        """What the newest listing says of the replica."""
        self.replica, self._blind = replica, False
        cursor = self.cursor
        if self._hushed:
            self._hushed = False
            cursor.clean = replica.restart_count <= cursor.restart_count
            self.context.intake.touch(cursor)
        if cursor.doubt is not None:
            self._looks += 1
            self._resolve()
        elif streaming and self._took and not self._anew and replica.restart_count > cursor.restart_count:
            # The stream goes on over a restart: this platform does not end it, and what it brought is of both.
            self._outlived += 1
            if self._outlived >= LOOKS:
                cursor.restart_count, cursor.started_ms = replica.restart_count, replica.started_ms
                self.context.intake.touch(cursor)

    def blind(self, *, reading: bool) -> None:
        """The replica is gone, and no listing could be had for long before: a container may have been started and
        gone that none has shown. Unless a stream is being read, the end of what was read is not that of the replica.
        """
        self._blind = True
        if not reading and (self.cursor.clean or self._hushed):
            self._hushed = self.cursor.clean = False
            self.context.intake.touch(self.cursor)

    # ---- gaps ----

    def _judge(self, stretch: Stretch) -> None:
        """The replay does not reach back to what was taken."""
        if self.cursor.doubt is not None:
            self.settle_doubt()
        self._doubt(Doubt(stretch, self._before, lossy=not self.cursor.clean))

    def _judge_first(self, time: int) -> None:
        """The very first line. Is it of the container that was listed first, or had that one gone unread?"""
        began = self.cursor.started_ms
        if began:
            stretch = Stretch(min(began, time), time)
            self._doubt(Doubt(stretch, self._before, lossy=not self.cursor.clean, first=True))

    def _doubt(self, doubt: Doubt) -> None:
        self.cursor.doubt = doubt
        self._looks = 0
        self._resolve()

    def _resolve(self) -> None:
        doubt, count = self.cursor.doubt, self.replica.restart_count
        if doubt is None or (count <= doubt.restart_count and self._looks < LOOKS and not self._recreated):
            return
        if self._lost(doubt, count - doubt.restart_count):
            self.settle_doubt()
        self.cursor.doubt = None
        self.cursor.restart_count = max(count, self.cursor.restart_count)
        self.context.intake.touch(self.cursor)

    def _lost(self, doubt: Doubt, restarts: int) -> bool:
        """Whether something is missing, now that the listing shows so many restarts."""
        if restarts == 1 and not doubt.lossy:
            return False
        if doubt.first:
            began = self.replica.started_ms
            return restarts > 0 and doubt.stretch.from_ms < began <= doubt.stretch.to_ms
        return True

    def conclude(self) -> None:
        """Nothing will show more of this replica: what is not clear yet is a gap."""
        if (gap := self.cursor.end()) is not None:
            self._judge(gap)
        self.settle_doubt()

    def settle_doubt(self) -> None:
        """No further listing will tell: what is in doubt is a gap."""
        doubt = self.cursor.doubt
        if doubt is None:
            return
        restarts = self.replica.restart_count - doubt.restart_count
        if not doubt.first or self._blind or self._lost(doubt, restarts):
            self._record(doubt.stretch, restarted=restarts != 0 or doubt.first)
        self.cursor.doubt = None
        self.context.intake.touch(self.cursor)

    def _record(self, stretch: Stretch, *, restarted: bool) -> None:
        until = max(stretch.to_ms, self.replica.started_ms) if restarted else stretch.to_ms
        self.gap(
            GapReason.RESTARTED if restarted else GapReason.ROTATED,
            stretch.from_ms,
            until + DISORDER_MS,
            "the container restarted while no stream was open to it"
            if restarted
            else "the platform's history begins later than what had been taken",
        )

    def gap(
        self, reason: GapReason, from_ms: int, to_ms: int | None, detail: str, lost: int | None = None
    ) -> None:
        """Record a loss of this replica since the last line before it; `to_ms` None is now."""
        replica = self.replica
        self.context.intake.gap(
            replica.app,
            reason,
            from_ms - DISORDER_MS,
            to_ms,
            replica_id=replica.replica_id,
            detail=detail,
            lost=lost,
        )

    def gone(self) -> None:
        """Record that the replica went before it was read to its end."""
        newest = self.cursor.newest
        if newest is None:
            since = self.cursor.started_ms or self.replica.started_ms or self.context.now_ms()
            self.gap(GapReason.REPLICA_GONE, since, None, "the replica went before its history was read")
        else:
            detail = "the replica went, and its stream was not read to an end"
            self.gap(GapReason.REPLICA_GONE, newest, None, detail)

    def truncated(self, since: int | None, until: int) -> None:
        """Record that the last answer was cut before it reached what had been taken."""
        began = self.replica.started_ms or until
        self.gap(
            GapReason.TRUNCATED,
            min(until, began if since is None else max(since, began)),
            until,
            "only the end of the history could be had, with GetAppLogs",
        )

    def cut_short(self) -> None:
        """Record that answers end before what the replica prints now."""
        newest = self.cursor.newest
        if newest is not None:
            detail = "GetAppLogs gives only the beginning of the history, and no stream could be read"
            self.gap(GapReason.TRUNCATED, newest, None, detail)

    def _undecodable(self, count: int) -> None:
        self.context.meter.count("undecodable_messages_total", count, Kind.LOGS.value)
        now = self.context.now_ms()
        since = self.cursor.newest if self.cursor.newest is not None else now
        self.gap(
            GapReason.UNDECODABLE,
            min(since, now),
            now,
            "messages that are not what the server's descriptor says were left out",
            count,
        )
