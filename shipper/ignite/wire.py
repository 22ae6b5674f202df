"""Sends a request on a connection that takes it, and hands out the answer.

A stream that is not answered may be a quiet one (some servers send headers with the first message), one that waits
because the connection is full, or one on a connection that is dead. Which it is shows when the same connection is
asked something that every server answers at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from shipper import __version__
from shipper.ignite.auth import TokenSource
from shipper.ignite.failures import full, refused, status_of
from shipper.ignite.lanes import FEW, Lane, Lanes
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import NotTaken, Request, Response, StreamReset, TransportError

log = logging.getLogger("shipper.ignite")

PATIENCE_S: Final = 2.0  # a stream that is unanswered for so long makes us ask its connection
_LONGEST_PATIENCE_S: Final = 30.0
_TRIES: Final = 20  # with each, one more connection; a server that refuses more has another reason than a cap

A = TypeVar("A")
Read = Callable[[Response, str, Callable[[], None], Callable[[Status], None]], Awaitable[A]]
"""Makes what is read of a response: called with it, the base URL, what to call with each read, and what to call with
how the call failed. Raises CallFailed for an answer that is refused from its beginning.
"""


class _Unanswered(Exception):
    """The connection does not take the stream; it was not looked at."""


@dataclass(slots=True, eq=False)
class Sent(Generic[A]):
    """A request and what is read of its answer, as an async context: entering sends it and waits for the answer's
    headers, leaving cancels what is under way. Every failure of transport or status is CallFailed.

    A class and no generator: thousands of streams are open, and each keeps its context.
    """

    wire: Wire[A]
    request: Request | None
    token: str | None = field(repr=False)
    lane: Lane | None = None  # that it is on, for who must know after it was cut short
    _response: Response | None = None

    async def __aenter__(self) -> A:
        assert self.request is not None, "sent before"
        self._response = await self.wire.send(self, self.request)
        self.request = None
        try:
            return await self.wire.read(self._response, self.wire.base_url, self._heard, self._failing)
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *error: object) -> None:
        assert self._response is not None
        assert self.lane is not None
        self._response.close()
        await self.wire.lanes.release(self.lane, answered=True)

    def _heard(self) -> None:
        if self.lane is not None:
            self.lane.heard_now()

    def _failing(self, status: Status) -> None:
        if status.code is Code.UNAUTHENTICATED and self.token is not None:
            self.wire.tokens.refuse(self.token)


@dataclass(slots=True)
class Wire(Generic[A]):
    """Requests to one server over `lanes`; `read` makes of a response what callers get. With `patience_s`, a connection
    that leaves a request unanswered for so long is asked `question`, to see whether it takes more: something that every
    server answers at once.
    """

    base_url: str
    tokens: TokenSource
    lanes: Lanes
    headers: Mapping[str, str] = field(repr=False)
    read: Read[A]
    question: Request
    patience_s: float | None = None
    _known: bool = False  # whether the server ever answered

    async def stream(self, request: Request) -> Sent[A]:
        """A request whose answer may go on for ever. Fails where there is no token."""
        return Sent(self, request, await self.tokens.token())

    @asynccontextmanager
    async def open(self, request: Request, *, deadline_s: float) -> AsyncIterator[A]:
        """A request whose answer must be read in time. The deadline cuts the context itself, and two in a row make the
        connection suspect.
        """
        sent = await self.stream(
            request
        )  # the token is bounded by itself, and fails with a reason of its own
        try:
            async with asyncio.timeout(deadline_s) as scope, sent as answer:
                yield answer
        except TimeoutError:
            if not scope.expired():
                raise
            if sent.lane is not None and self.lanes.timed_out(sent.lane):
                self._warn()
            raise CallFailed(
                Status(Code.DEADLINE_EXCEEDED, f"{self.base_url} did not answer within {deadline_s:g} s")
            ) from None

    async def send(self, sent: Sent[A], request: Request) -> Response:
        """An answer whose headers have come; `sent` has its lane. Another lane is tried where one takes no more."""
        patience = self.patience_s
        request = self._whole(request, sent.token)
        for _ in range(_TRIES):
            lane = sent.lane = self.lanes.acquire()
            response: Response | None = None
            try:
                response = await self._answered(lane, request, patience)
            except _Unanswered:
                patience = _more(patience)  # the server may be slow everywhere: do not chase it
                continue
            except TransportError as error:
                if not refused(error):
                    raise CallFailed(status_of(error, self.base_url, known=self._known)) from error
                if full(error):
                    self.lanes.full(lane.open - 1)
            else:
                return response
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
                response = await lane.transport.send(self._whole(self.question, None))
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

    def _whole(self, request: Request, token: str | None) -> Request:
        """The request's own headers come after the configuration's: what the protocol needs is not to be changed."""
        headers = [("user-agent", f"shipper/{__version__}"), *self.headers.items(), *request.headers]
        if token is not None:
            headers.append(("authorization", f"Bearer {token}"))
        return replace(request, headers=tuple(headers))


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
