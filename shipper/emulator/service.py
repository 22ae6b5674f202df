"""ComputeService over the world: what each call answers, and the pump that feeds a stream."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import grpc

from shipper.emulator.descriptors import SERVICE, Schema
from shipper.emulator.events import Event
from shipper.emulator.faults import Fault, Faults
from shipper.emulator.handlers import Handlers
from shipper.emulator.history import Source
from shipper.emulator.ledger import Printed
from shipper.emulator.streams import ENDED, EVENTS, LOGS, Calls, OpenStream
from shipper.emulator.tokens import Tokens
from shipper.emulator.world import EmulatedApp, EmulatedReplica, World

# https://github.com/grpc/proposal/blob/master/A6-client-retries.md
PUSHBACK: Final = "grpc-retry-pushback-ms"
_BATCH: Final = 256  # items between two looks at the source; each is still a gRPC message of its own
_DEFAULT_LIMIT: Final = 1000  # https://docs.dodil.io/ignite/compute/api-reference/observability
_STREAMS: Final = {"stdout": "LOG_STREAM_STDOUT", "stderr": "LOG_STREAM_STDERR", "": "LOG_STREAM_UNSPECIFIED"}

Encode = Callable[[Any], bytes]


class ComputeService:
    """The handlers. All of them pass `admit`: token, then faults in force, then the app must exist."""

    def __init__(self, world: World, schema: Schema, tokens: Tokens, faults: Faults, calls: Calls) -> None:
        self._world = world
        self._schema = schema
        self._tokens = tokens
        self._faults = faults
        self._calls = calls
        self._log_line = schema.message("LogLine")
        self._app_event = schema.message("AppEvent")
        self._stream_numbers = {name: schema.number("LogStream", wire) for name, wire in _STREAMS.items()}

    def handlers(self) -> Handlers:
        """All calls of logs, events, replicas and apps."""
        return Handlers(
            SERVICE,
            {
                "ListApps": self._list_apps,
                "ListAppReplicas": self._list_replicas,
                "GetAppLogs": self._get_logs,
                "GetAppEvents": self._get_events,
            },
            {LOGS: self._stream_logs, EVENTS: self._stream_events},
        )

    async def authorize(self, method: str, context: Any) -> None:
        """Count the call and check its token; aborts with UNAUTHENTICATED."""
        self._calls.note(method)
        refusal = self._tokens.refusal(_metadata(context).get("authorization"))
        if refusal is not None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)

    async def admit_anyone(self, method: str, context: Any) -> None:
        """Count the call; the gate of reflection where that is open to everyone."""
        self._calls.note(method)

    # ---- unary calls ----

    async def _list_apps(self, request: Any, context: Any) -> bytes:
        fault = await self.admit("ListApps", request.organization_name, None, context)
        limit = self._world.scenario.page_size
        if request.limit > 0:
            limit = min(limit, request.limit)
        try:
            start = int(request.cursor or "0", 36)
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the cursor is not one of ours")
        names = [] if fault is not None and fault.empty else sorted(self._world.apps)
        organization = self._world.scenario.organization
        rows = [
            {"id": f"{organization}/{name}", "name": name, "organization_name": organization}
            for name in names[start : start + limit]
        ]
        more = _base36(start + limit) if start + limit < len(names) else ""
        return self.encode("ListAppsResponse", apps=rows, next_cursor=more)

    async def _list_replicas(self, request: Any, context: Any) -> bytes:
        fault = await self.admit("ListAppReplicas", request.organization_name, request.app_name, context)
        app = await self.app(request.app_name, context)
        if fault is not None and fault.empty:
            return b""
        listed = [replica for replica in app.replicas.values() if replica.listed]
        self._calls.listed.update(replica.replica_id for replica in listed)
        replicas = [self._row(replica) for replica in listed]
        return self.encode("ListAppReplicasResponse", replicas=replicas)

    async def _get_logs(self, request: Any, context: Any) -> bytes:
        await self.admit("GetAppLogs", request.organization_name, request.app_name, context)
        app = await self.app(request.app_name, context)
        scenario = self._world.scenario
        replicas = list(app.replicas.values())
        if request.replica_id:
            replicas = [replica for replica in replicas if replica.replica_id == request.replica_id]
            if not replicas and scenario.unknown_replica_is_error:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"replica {request.replica_id} is not running")
        limit = min(request.limit if request.limit > 0 else _DEFAULT_LIMIT, scenario.logs_cap)
        lines = [line for replica in replicas for line in replica.container.replayable(newest=limit)]
        if len(replicas) > 1:
            lines.sort(key=lambda line: line.timestamp_ms)
        there = sum(replica.container.length for replica in replicas)
        return self.encode(
            "GetAppLogsResponse",
            lines=[self._line(line) for line in lines[-limit:]],
            truncated=there > limit,
        )

    async def _get_events(self, request: Any, context: Any) -> bytes:
        await self.admit("GetAppEvents", request.organization_name, request.app_name, context)
        app = await self.app(request.app_name, context)
        events = [
            event
            for event in app.events()
            if request.severity in ("", event.severity) and request.replica_id in ("", event.replica_id)
        ]
        cap = self._world.scenario.events_cap
        return self.encode(
            "GetAppEventsResponse",
            events=[self._event(event) for event in events[-cap:]],
            truncated=len(events) > cap,
        )

    # ---- streams ----

    async def _stream_logs(self, request: Any, context: Any) -> None:
        await self.admit(LOGS, request.organization_name, request.app_name, context)
        app = await self.app(request.app_name, context)
        stream = self._opened(LOGS, request, context, request.replica_id, from_start=request.from_start)
        source: Source[Printed]
        if not request.replica_id:
            source = app.log_source(stream.bell, from_start=request.from_start)
        elif request.replica_id in app.replicas:
            container = app.replicas[request.replica_id].container
            source = container.reader(stream.bell, from_start=request.from_start)
        else:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"replica {request.replica_id} is not running")
        await self.pump(stream, source, lambda line: self._line(line).SerializeToString(), context)

    async def _stream_events(self, request: Any, context: Any) -> None:
        await self.admit(EVENTS, request.organization_name, request.app_name, context)
        app = await self.app(request.app_name, context)
        stream = self._opened(EVENTS, request, context, "", from_start=False)
        source = app.event_source(stream.bell)
        await self.pump(stream, source, lambda event: self._event(event).SerializeToString(), context)

    def _opened(
        self, method: str, request: Any, context: Any, replica_id: str, *, from_start: bool
    ) -> OpenStream:
        return OpenStream(method, request.app_name, replica_id, self.token(context), from_start)

    def token(self, context: Any) -> str:
        """The bearer token that a call came with."""
        return _metadata(context).get("authorization", "").partition(" ")[2]

    async def pump(self, stream: OpenStream, source: Source[Any], encode: Encode, context: Any) -> None:
        """Send what the source has until it is finished, the client goes, or a fault has other plans."""
        self._calls.opened(stream)
        try:
            with closing(source):
                await context.send_initial_metadata(())  # so that a client sees a silent stream as open
                while not (source.finished and not stream.disturbed) and stream.cut != ENDED:
                    stream.bell.clear()
                    if not await self._send_ready(stream, source, encode, context):
                        await stream.bell.wait()
        finally:
            self._calls.closed(stream)

    async def _send_ready(
        self, stream: OpenStream, source: Source[Any], encode: Encode, context: Any
    ) -> bool:
        """Send one batch, unless a fault wants otherwise; False if there is nothing to do until the bell rings."""
        if stream.stalled:
            return False
        if stream.cut is not None:
            await context.abort(*stream.cut)
        while stream.garbage:
            await context.write(stream.garbage.popleft())
        batch = source.peek(_BATCH)
        written = 0
        try:
            for item in batch:
                await context.write(encode(item))
                written += 1
                if stream.repeats:
                    stream.repeats -= 1
                    self._calls.repeated[item] += 1
                    await context.write(encode(item))
                if stream.disturbed:
                    break
        finally:
            source.advance(written)
            stream.sent += written
        if written:
            self._calls.progressed()
        return bool(written) or stream.disturbed

    # ---- what every call passes ----

    async def admit(
        self, method: str, organization: str | None, app: str | None, context: Any
    ) -> Fault | None:
        """Let a call through, or answer it with an error. `organization` is None where the call names none."""
        await self.authorize(method, context)
        fault = await self._faults.admit(method, app)
        if fault is not None and fault.status is not None:
            if fault.retry_after_s is not None:
                context.set_trailing_metadata(((PUSHBACK, str(round(fault.retry_after_s * 1000))),))
            await context.abort(fault.status, fault.message)
        if organization not in (None, self._world.scenario.organization):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no organization {organization!r} for this token")
        return fault

    async def app(self, name: str, context: Any) -> EmulatedApp:
        """The app that a call names; NOT_FOUND where there is none."""
        if name not in self._world.apps:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"app {name} not found")
        return self._world.apps[name]

    # ---- messages ----

    def encode(self, message: str, **fields: Any) -> bytes:
        """A message of that name."""
        encoded: bytes = self._schema.message(message)(**fields).SerializeToString()
        return encoded

    def _line(self, line: Printed) -> Any:
        text = line.line
        return self._log_line(
            timestamp_ms=line.timestamp_ms,
            replica_id=line.replica_id,
            stream=self._stream_numbers[line.stream],
            line=text if isinstance(text, bytes) else text.encode(),
        )

    def _event(self, event: Event) -> Any:
        return self._app_event(
            timestamp_ms=event.timestamp_ms,
            kind=self._schema.number("AppEventKind", event.kind),
            reason=event.reason,
            message=event.message,
            replica_id=event.replica_id,
            count=event.count,
            severity=event.severity,
        )

    def _row(self, replica: EmulatedReplica) -> dict[str, Any]:
        return {
            "replica_id": replica.replica_id,
            "cluster_id": replica.cluster_id,
            "node_name": replica.node_name,
            "status": self._schema.number("ReplicaStatus", replica.status),
            "ready": replica.ready,
            "restart_count": replica.restart_count,
            "started_ms": replica.started_ms,
            "conditions_summary": replica.conditions,
            "cpu_millicores_used": 20 + len(replica.replica_id),
            "memory_mb_used": 64 + replica.restart_count,
        }


def _metadata(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text or "0"
