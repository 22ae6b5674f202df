"""The world that the emulator serves: apps and their replicas, moved by hand or by the driver."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from shipper.emulator.builds import Builds, EmulatedBuild
from shipper.emulator.events import Event, EventLog
from shipper.emulator.history import Container, Reader, Source
from shipper.emulator.ledger import Ledger, Printed
from shipper.emulator.scenario import Scenario

RUNNING: Final = "STATUS_RUNNING"
_LETTERS: Final = (
    "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes pod names of: no vowels, no look-alikes
)


class World:
    """An organization's apps. One event loop, no threads."""

    def __init__(self, scenario: Scenario, ledger: Ledger) -> None:
        self.scenario = scenario
        self.ledger = ledger
        self.apps: dict[str, EmulatedApp] = {}
        self.builds = Builds(ledger)
        self.news: deque[tuple[int, str]] = deque(maxlen=500)  # (Unix ms, what just happened), for people
        self.random = random.Random(scenario.seed)

    def now_ms(self) -> int:
        """The wall time of the platform."""
        return self.scenario.clock()

    def add_app(self, name: str) -> EmulatedApp:
        """Create an app with no replica, or return the one of that name."""
        if name not in self.apps:
            self.apps[name] = EmulatedApp(self, name)
        return self.apps[name]

    def remove_app(self, name: str) -> None:
        """Delete an app: its replicas go, its streams end."""
        app = self.apps.pop(name)
        for replica in list(app.replicas.values()):
            replica.gone()
        app.close()

    def tell(self, text: str) -> None:
        """Add a line to the news."""
        self.news.append((self.now_ms(), text))

    def pod_suffix(self, length: int) -> str:
        """A random piece of a pod's name."""
        return "".join(self.random.choices(_LETTERS, k=length))


class EmulatedApp:
    """One app: its replicas by id in the order of their start, its events, and the aggregate streams that follow it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.replicas: dict[str, EmulatedReplica] = {}
        self.closed = False
        self._events = EventLog(name, world.ledger, int(world.scenario.event_ttl_s * 1000))
        self._followers: set[AppReader] = set()
        self._revision = world.pod_suffix(9)

    def start_replica(
        self,
        replica_id: str | None = None,
        *,
        cluster_id: str = "worker-eu-1",
        node_name: str | None = None,
        clock_offset_ms: int = 0,
        listed: bool = True,
        events: bool = True,
    ) -> EmulatedReplica:
        """Start a pod. `listed=False` keeps it out of ListAppReplicas (its streams work), `events=False` quiet.

        `clock_offset_ms` is by how much its node's clock is wrong: for what it prints and for `started_ms`.
        """
        replica_id = replica_id or f"{self.name}-{self._revision}-{self.world.pod_suffix(5)}"
        if replica_id in self.replicas:
            raise ValueError(f"replica {replica_id} runs already")
        node_name = (
            node_name or f"ip-10-0-{self.world.random.randrange(8)}-{self.world.random.randrange(256)}"
        )
        replica = EmulatedReplica(self, replica_id, cluster_id, node_name, clock_offset_ms)
        replica.listed = listed
        self.replicas[replica_id] = replica
        if events:
            self.event("Scheduled", f"Successfully assigned {replica_id} to {node_name}", replica_id)
            self.event("Pulled", "Container image already present on machine", replica_id)
        replica.start_container(events=events)
        return replica

    def scale_to_zero(self, message: str = "KEDA is not active: scaling to zero") -> None:
        """Every replica goes at once, with the events of it."""
        self.event("ScaledToZero", message)
        for replica in list(self.replicas.values()):
            replica.gone("scale-down")

    def event(
        self,
        reason: str,
        message: str = "",
        replica_id: str = "",
        *,
        kind: str | int | None = None,
        severity: str | None = None,
        ts: int | None = None,
        recurring: bool = False,
    ) -> Event:
        """Observe an event. A known reason gives `kind` and `severity`; `recurring` raises the count of the same."""
        known_kind, known_severity = KNOWN_EVENTS.get(reason, ("APP_EVENT_KIND_UNSPECIFIED", "Normal"))
        event = Event(
            timestamp_ms=self.world.now_ms() if ts is None else ts,
            kind=known_kind if kind is None else kind,
            reason=reason,
            message=message,
            replica_id=replica_id,
            count=1,
            severity=severity or known_severity,
        )
        return self._events.add(event, recurring=recurring)

    def compile(self, deploy_id: str | None = None, *, ts: int | None = None) -> EmulatedBuild:
        """Compile the app's draft: GetDraftInfo names the compile, and its output can be streamed."""
        return self._build("compile", deploy_id or f"dpl_{self.world.pod_suffix(12)}", ts)

    def build(self, build_id: str | None = None, *, ts: int | None = None) -> EmulatedBuild:
        """Build an image for the app: ListBuilds names the build."""
        return self._build("build", build_id or f"bld_{self.world.pod_suffix(12)}", ts)

    def _build(self, source: str, build_id: str, ts: int | None) -> EmulatedBuild:
        now = self.world.now_ms
        return self.world.builds.start(self.name, build_id, source, now() if ts is None else ts, now)

    def events(self) -> list[Event]:
        """What GetAppEvents has to choose from, oldest first."""
        return self._events.current(self.world.now_ms())

    def event_source(self, bell: asyncio.Event) -> Source[Event]:
        """Follow the events from now on."""
        return self._events.reader(bell)

    def log_source(self, bell: asyncio.Event, *, from_start: bool) -> Source[Printed]:
        """Follow all replicas, those that start later too."""
        return AppReader(self, bell, from_start=from_start)

    def container_started(self, container: Container) -> None:
        """Hand a new container to the aggregate streams."""
        for follower in self._followers:
            follower.add(container, from_start=True)

    def close(self) -> None:
        """The app is deleted: its streams end when they have sent everything."""
        self.closed = True
        self._events.close()
        for follower in self._followers:
            follower.bell.set()


class EmulatedReplica:
    """One pod: its container, and what ListAppReplicas says of it (set the fields as a test needs)."""

    def __init__(
        self, app: EmulatedApp, replica_id: str, cluster_id: str, node_name: str, clock_offset_ms: int
    ) -> None:
        self.app = app
        self.replica_id = replica_id
        self.cluster_id = cluster_id
        self.node_name = node_name
        self.clock_offset_ms = clock_offset_ms
        self.status = RUNNING
        self.ready = False
        self.listed = True
        self.restart_count = 0
        self.started_ms = 0
        self.is_gone = False
        self.container: Container

    def now_ms(self) -> int:
        """The time on this replica's clock."""
        return self.app.world.now_ms() + self.clock_offset_ms

    @property
    def printing(self) -> bool:
        """Whether a container runs that can print."""
        return not self.container.ended

    @property
    def conditions(self) -> str:
        """The `conditions_summary` of ListAppReplicas."""
        return f"PodScheduled=True, Initialized=True, ContainersReady={self.ready}"

    def print(self, line: str | bytes, *, ts: int | None = None, stream: str = "stdout") -> Printed:
        """Print a line now, or with another time than now (`ts`): that is a line that arrives late, or early."""
        if self.container.ended:
            raise ValueError(f"the container of {self.replica_id} has ended: it prints no more")
        if isinstance(line, bytes):
            with suppress(UnicodeDecodeError):
                line = line.decode()
        elif not line.isascii():
            line.encode()  # a lone surrogate is no text: print its bytes instead
        printed = Printed(self.app.name, self.replica_id, self.now_ms() if ts is None else ts, stream, line)
        self.app.world.ledger.print(printed)
        self.container.append(printed)
        return printed

    def print_all(
        self, lines: Iterable[str | bytes], *, ts: int | None = None, stream: str = "stdout"
    ) -> None:
        """Print several lines, all with the same time if `ts` is given."""
        for line in lines:
            self.print(line, ts=ts, stream=stream)

    def rotate(self, keep: int = 0) -> None:
        """Rotate the log file: a replay begins with the newest `keep` lines. Streams that are open lose nothing."""
        self.container.rotate(keep)

    def crash(self, *, reason: str = "Error", exit_code: int = 1) -> None:
        """The container ends; the pod stays, and its history can be read until `restart`."""
        self.ready = False
        if reason == "OOMKilled":
            self.app.event("OOMKilling", "Memory cgroup out of memory: Killed process 1", self.replica_id)
        self.app.event(
            "BackOff",
            f"Back-off restarting failed container (exit {exit_code})",
            self.replica_id,
            recurring=True,
        )
        self.container.finish()

    def restart(self) -> None:
        """A new container in the same pod. What the old one printed cannot be asked for any more."""
        self.container.remove()
        self.restart_count += 1
        self.start_container(events=True)

    def end(self) -> None:
        """The container ends in good order; the pod stays listed with its history until `gone`."""
        self.ready = False
        self.app.event("Killing", "Stopping container app", self.replica_id)
        self.container.finish()

    def gone(self, reason: str = "") -> None:
        """The pod and its history are gone. Streams that are open end OK when they have brought the last line."""
        if self.is_gone:
            return
        if reason == "evicted":
            self.app.event("Evicted", "The node was low on resource: memory", self.replica_id)
        elif reason and not self.container.ended:
            self.app.event("Killing", "Stopping container app", self.replica_id)
        self.is_gone = True
        self.ready = False
        self.app.replicas.pop(self.replica_id, None)
        self.container.remove()

    def start_container(self, *, events: bool) -> None:
        """Start the pod's (next) container."""
        scenario = self.app.world.scenario
        self.started_ms = self.now_ms()
        self.ready = True
        self.container = Container(
            self.started_ms, self.app.world.ledger, scenario.history_lines, scenario.replay_order
        )
        if events:
            self.app.event("Started", "Started container app", self.replica_id)
        self.app.container_started(self.container)


class AppReader:
    """An aggregate stream over all containers of an app, each in its own order; a `Source`."""

    def __init__(self, app: EmulatedApp, bell: asyncio.Event, *, from_start: bool) -> None:
        self.bell = bell
        self._app = app
        self._readers: deque[Reader] = deque()
        self._peeked: Reader | None = None
        for replica in app.replicas.values():
            self.add(replica.container, from_start=from_start)
        app._followers.add(self)

    @property
    def finished(self) -> bool:
        return self._app.closed and all(reader.finished for reader in self._readers)

    def add(self, container: Container, *, from_start: bool) -> None:
        """Follow one more container."""
        self._readers.append(container.reader(self.bell, from_start=from_start))
        self.bell.set()

    def peek(self, limit: int) -> Sequence[Printed]:
        for _ in range(len(self._readers)):
            reader = self._readers[0]
            self._readers.rotate(-1)
            if lines := reader.peek(limit):
                self._peeked = reader
                return lines
            if reader.finished:
                self._readers.pop()
                reader.close()
        return []

    def advance(self, count: int) -> None:
        if self._peeked is not None:
            self._peeked.advance(count)

    def close(self) -> None:
        self._app._followers.discard(self)
        for reader in self._readers:
            reader.close()


# Which kind and severity a Kubernetes reason has. Of the kinds only OOM_KILLED is documented; the others are ours
# (https://docs.dodil.io/ignite/compute/api-reference/observability names the families in prose).
KNOWN_EVENTS: Final[dict[str, tuple[str, str]]] = {
    "OOMKilling": ("APP_EVENT_KIND_OOM_KILLED", "Warning"),
    "Scheduled": ("APP_EVENT_KIND_SCHEDULED", "Normal"),
    "Pulled": ("APP_EVENT_KIND_IMAGE_PULLED", "Normal"),
    "Started": ("APP_EVENT_KIND_STARTED", "Normal"),
    "Killing": ("APP_EVENT_KIND_KILLING", "Normal"),
    "BackOff": ("APP_EVENT_KIND_CRASHED", "Warning"),
    "Unhealthy": ("APP_EVENT_KIND_PROBE_FAILED", "Warning"),
    "Evicted": ("APP_EVENT_KIND_EVICTED", "Warning"),
    "ScaledToZero": ("APP_EVENT_KIND_SLEEP", "Normal"),
    "ScaledFromZero": ("APP_EVENT_KIND_WAKE", "Normal"),
}
