"""Misbehaviour on request: refusals, delays, and what happens to streams that are open."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc

from shipper.emulator.streams import ENDED, Calls, OpenStream


@dataclass(eq=False, slots=True)
class Fault:
    """One rule about coming calls. It is used up after `left` calls (None: never) or when it is lifted."""

    method: str  # "*" is every method of ComputeService
    app: str | None  # None is every app
    left: int | None
    status: grpc.StatusCode | None = None
    message: str = ""
    delay_s: float = 0.0
    empty: bool = False
    retry_after_s: float | None = None  # when the server wants to be asked again

    def lift(self) -> None:
        """Let calls through again."""
        self.left = 0

    def concerns(self, method: str, app: str | None) -> bool:
        """Whether a call falls under this rule."""
        return (
            (self.left is None or self.left > 0)
            and self.method in ("*", method)
            and (self.app is None or self.app == app)
        )

    def use(self) -> None:
        """Count one call."""
        if self.left is not None:
            self.left -= 1


class Faults:
    """The faults in force. Methods are named as in ComputeService; statuses are `grpc.StatusCode` or their names."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._rules: list[Fault] = []

    # ---- coming calls ----

    def refuse(
        self,
        method: str = "*",
        status: grpc.StatusCode | str = grpc.StatusCode.UNAVAILABLE,
        *,
        app: str | None = None,
        times: int | None = None,
        message: str = "refused on request",
        retry_after_s: float | None = None,
    ) -> Fault:
        """Answer coming calls with an error, `times` times or until the fault is lifted."""
        return self._add(
            Fault(method, app, times, status=status_of(status), message=message, retry_after_s=retry_after_s)
        )

    def deny(self, app: str) -> Fault:
        """PERMISSION_DENIED for one app, until the fault is lifted; its open streams are cut with it."""
        message = f"UMA authorization rejected for {app}"
        fault = self.refuse("*", grpc.StatusCode.PERMISSION_DENIED, app=app, message=message)
        self.cut(app=app, status=grpc.StatusCode.PERMISSION_DENIED, message=message)
        return fault

    def delay(
        self, method: str, seconds: float, *, app: str | None = None, times: int | None = None
    ) -> Fault:
        """Keep coming calls waiting before they are answered (or refused by another fault)."""
        return self._add(Fault(method, app, times, delay_s=seconds))

    def empty(
        self, method: str = "ListAppReplicas", *, app: str | None = None, times: int | None = 1
    ) -> Fault:
        """Answer coming ListApps or ListAppReplicas calls with an empty list."""
        return self._add(Fault(method, app, times, empty=True))

    async def admit(self, method: str, app: str | None) -> Fault | None:
        """Wait as told, and return what the call is to be answered with, if a fault wants that."""
        verdict: Fault | None = None
        self._rules = [rule for rule in self._rules if rule.left is None or rule.left > 0]
        for rule in list(self._rules):
            if not rule.concerns(method, app):
                continue
            if rule.delay_s:
                rule.use()
                await asyncio.sleep(rule.delay_s)
            elif verdict is None:
                rule.use()
                verdict = rule
        return verdict

    # ---- open streams ----

    def cut(
        self,
        *,
        method: str | None = None,
        app: str | None = None,
        replica_id: str | None = None,
        count: int | None = None,
        status: grpc.StatusCode | str = grpc.StatusCode.UNAVAILABLE,
        message: str = "cut on request",
    ) -> int:
        """End matching open streams with a status, at most `count`; says how many. What was sent before arrives."""
        streams = self._choose(method, app, replica_id, count)
        code = status_of(status)
        for stream in streams:
            stream.cut = ENDED if code is grpc.StatusCode.OK else (code, message)
            stream.bell.set()
        return len(streams)

    def stall(
        self,
        *,
        method: str | None = None,
        app: str | None = None,
        replica_id: str | None = None,
        count: int | None = None,
    ) -> list[OpenStream]:
        """Make matching open streams half-open: connected for ever, and nothing comes. New streams are well."""
        streams = self._choose(method, app, replica_id, count)
        for stream in streams:
            stream.stalled = True
            stream.bell.set()
        return streams

    def resume(self) -> int:
        """Let stalled streams that are still open go on where they were."""
        stalled = [stream for stream in self._calls.open if stream.stalled]
        for stream in stalled:
            stream.stalled = False
            stream.bell.set()
        return len(stalled)

    def repeat(
        self,
        lines: int,
        *,
        method: str | None = None,
        app: str | None = None,
        replica_id: str | None = None,
        count: int | None = None,
    ) -> int:
        """Let matching open streams bring each of their next `lines` twice; `Calls.repeated` says which those were."""
        streams = self._choose(method, app, replica_id, count)
        for stream in streams:
            stream.repeats = lines
        return len(streams)

    def garbage(
        self,
        payload: bytes = b"\xff\xff\xff\xff",
        *,
        method: str | None = None,
        app: str | None = None,
        replica_id: str | None = None,
        count: int | None = None,
    ) -> int:
        """Put a message that cannot be decoded between the others of matching open streams."""
        streams = self._choose(method, app, replica_id, count)
        for stream in streams:
            stream.garbage.append(payload)
            stream.bell.set()
        return len(streams)

    def _choose(
        self, method: str | None, app: str | None, replica_id: str | None, count: int | None
    ) -> list[OpenStream]:
        found = self._calls.matching(method=method, app=app, replica_id=replica_id)
        streams = [stream for stream in found if not stream.disturbed]
        return streams if count is None else streams[:count]

    def _add(self, fault: Fault) -> Fault:
        self._rules.append(fault)
        return fault


def status_of(status: grpc.StatusCode | str) -> grpc.StatusCode:
    """A status code by its name, or itself."""
    return grpc.StatusCode[status] if isinstance(status, str) else status
