"""Sends a request on a connection that takes it, and hands out the answer.

A stream that is not answered may be a quiet one (some servers send headers with the first message), one that waits
because the connection is full, or one on a connection that is dead. Which it is shows when the same connection is
asked something that every server answers at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from shipper import __version__
from shipper.ignite.answer import Answer
from shipper.ignite.auth import TokenSource
from shipper.ignite.failures import full, refused, status_of
from shipper.ignite.framing import frame
from shipper.ignite.lanes import FEW, Lane, Lanes
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import NotTaken, Request, Response, StreamReset, TransportError

log = logging.getLogger("shipper.ignite")

PATIENCE_S: Final = 2.0  # a stream that is unanswered for so long makes us ask its connection
_LONGEST_PATIENCE_S: Final = 30.0
_TRIES: Final = 20  # with each, one more connection; a server that refuses more has another reason than a cap
_QUESTION: Final = "/grpc.health.v1.Health/Check"  # answered by every gRPC server, if only with UNIMPLEMENTED


class _Unanswered(Exception):
    """The connection does not take the stream; it was not looked at."""


@dataclass(slots=True)
class _Trip:
    """Which lane a request is on, for who must know after it was cut short."""

    lane: Lane | None = None


@dataclass(slots=True)
class Wire:
    """Requests to one server over `lanes`. With `patience_s`, a connection that leaves a request unanswered for so
    long is asked whether it takes more.
    """

    base_url: str
    tokens: TokenSource
    lanes: Lanes
    headers: Mapping[str, str] = field(repr=False)
    patience_s: float | None = None
    _known: bool = False  # whether the server ever answered

    @asynccontextmanager
    async def open(
        self, path: str, message: bytes, *, deadline_s: float | None = None
    ) -> AsyncIterator[Answer]:
        """Send a request message. Every failure of transport or status is CallFailed, while the request is sent and
        while the answer is read. Leaving the context cancels the call; the deadline cuts the context itself, and
        two in a row make the connection suspect.
        """
        token = await self.tokens.token()  # bounded by itself, and failing with a reason of its own
        trip = _Trip()
        try:
            async with asyncio.timeout(deadline_s) as scope:
                async with self._sent(path, message, token, trip) as answer:
                    yield answer
        except TimeoutError:
            if not scope.expired():
                raise
            if trip.lane is not None and self.lanes.timed_out(trip.lane):
                self._warn()
            raise CallFailed(
                Status(Code.DEADLINE_EXCEEDED, f"{self.base_url} did not answer within {deadline_s:g} s")
            ) from None

    @asynccontextmanager
    async def _sent(self, path: str, message: bytes, token: str | None, trip: _Trip) -> AsyncIterator[Answer]:
        lane, response = await self._send(path, message, token, trip)

        def failing(status: Status) -> None:
            if status.code is Code.UNAUTHENTICATED and token is not None:
                self.tokens.refuse(token)

        try:
            yield Answer(response, self.base_url, lane.heard_now, failing)
        finally:
            response.close()
            await self.lanes.release(lane, answered=True)

    async def _send(self, path: str, message: bytes, token: str | None, trip: _Trip) -> tuple[Lane, Response]:
        """The answer's headers and the lane that they came on; another lane is tried where one takes no more."""
        patience = self.patience_s
        for _ in range(_TRIES):
            lane = trip.lane = self.lanes.acquire()
            response: Response | None = None
            try:
                response = await self._answered(lane, self._request(path, message, token), patience)
            except _Unanswered:
                patience = _more(patience)  # the server may be slow everywhere: do not chase it
                continue
            except TransportError as error:
                if not refused(error):
                    raise CallFailed(status_of(error, self.base_url, known=self._known)) from error
                if full(error):
                    self.lanes.full(lane.open - 1)
            else:
                return lane, response
            finally:
                if response is None:
                    await self.lanes.release(lane, answered=False)
        raise CallFailed(
            Status(Code.UNAVAILABLE, f"{self.base_url} refuses the stream on each of {_TRIES} connections")
        )

    async def _answered(self, lane: Lane, request: Request, patience: float | None) -> Response:
        response = await lane.transport.send(request)
        sent = self.lanes.clock()
        try:
            await self._begun(lane, response, patience)
        except BaseException:
            response.close()
            raise
        lane.answer(sent)
        self._known = True
        return response

    async def _begun(self, lane: Lane, response: Response, patience: float | None) -> None:
        """Wait for the answer's headers, as long as the lane answers others."""
        since = self.lanes.clock()
        while not await _in_time(response, patience):
            takes_more = patience is None or await self._takes_more(lane, since, patience)
            if not takes_more and not response.status:
                raise _Unanswered
            # This one is only quiet, or others were served before it: ask again, less and less often.
            since, patience = self.lanes.clock(), _more(patience)

    # ---- whether a connection takes streams ----

    async def _takes_more(self, lane: Lane, since: float, patience: float) -> bool:
        """Whether the lane answers what was sent after `since`; asked once for all streams that wait on it."""
        async with lane.asking:
            if lane.took <= since and lane.left <= since:
                await self._ask(lane, patience)
        if lane.took > since:
            return True
        if lane.heard > since:
            if lane.answered < self.lanes.cap:
                log.info(
                    "a connection carries %d streams and takes no more: using further ones",
                    lane.answered,
                )
            self.lanes.full(max(FEW, lane.answered))  # fewer is a server that is slow
        elif not lane.retired:
            self.lanes.suspect(lane)
            self._warn()
        return False

    async def _ask(self, lane: Lane, patience: float) -> None:
        sent = self.lanes.clock()
        try:
            async with asyncio.timeout(patience):
                response = await lane.transport.send(self._request(_QUESTION, b"", None))
                try:
                    await response.begun()
                finally:
                    response.close()
        except (
            NotTaken
        ):  # it carries as many as it says: what is unanswered is quiet, unless a ping finds it dead
            lane.took = sent
        except StreamReset:  # alive, but refused
            lane.left = sent
            lane.heard_now()
        except (TransportError, TimeoutError):
            lane.left = sent
        else:
            lane.took = sent
            lane.heard_now()

    def _warn(self) -> None:
        log.warning(
            "a connection to %s answers no more (dead, or full without saying so): using a new one",
            self.base_url,
        )

    def _request(self, path: str, message: bytes, token: str | None) -> Request:
        headers = [
            ("user-agent", f"shipper/{__version__}"),
            *self.headers.items(),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-accept-encoding", "identity,gzip"),
        ]
        if token is not None:
            headers.append(("authorization", f"Bearer {token}"))
        return Request("POST", path, tuple(headers), frame(message))


async def _in_time(response: Response, patience: float | None) -> bool:
    """Wait for an answer's headers; whether they came in time."""
    try:
        async with asyncio.timeout(patience) as scope:
            await response.begun()
    except TimeoutError:
        if not scope.expired():
            raise
        return False
    return True


def _more(patience: float | None) -> float | None:
    return None if patience is None else min(2 * patience, _LONGEST_PATIENCE_S)
