"""Every call of https://docs.dodil.io/ignite/compute/api-reference/observability, and what else is called, in one
table: its request and answer as documented, over both transports, and its failures.

What is marked [I] is not shown on a page that can be read whole: inferred from its siblings.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.protobuf import json_format

from shipper.config.platform import IgniteSettings
from shipper.ignite.connect import connect
from shipper.ignite.gateway.routes import ROUTES
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.port import Build, Draft, Event, EventPage, LogChunk, LogPage, Output
from shipper.ignite.status import CallFailed, Code
from shipper.model import App, Replica
from tests.servers.h1_server import H1Server, Request
from tests.servers.h2_platform import platform_of, serving
from tests.servers.h2_server import Exchange, H2Server
from tests.servers.ways import Client

APP = App("acme-corp", "my-data-processor")
POD = "my-data-processor-7c9d8-abcde"
OF_APP = {"organization_name": "acme-corp", "app_name": "my-data-processor"}
AT = "/v1/ignite/app/acme-corp/my-data-processor"
LINE = {
    "timestampMs": "1716894000123",
    "replicaId": POD,
    "stream": "LOG_STREAM_STDOUT",
    "line": "processed batch 42 in 18ms",
}
EVENT = {
    "timestampMs": "1716894001000",
    "kind": "APP_EVENT_KIND_OOM_KILLED",
    "reason": "OOMKilling",
    "message": "Memory cgroup out of memory: Killed process 1",
    "replicaId": POD,
    "count": 1,
    "severity": "Warning",
}
REPLICA = {
    "replicaId": POD,
    "clusterId": "worker-eu-1",
    "nodeName": "ip-10-0-3-17",
    "status": "STATUS_RUNNING",
    "ready": True,
    "restartCount": 0,
    "startedMs": "1716893900000",
    "conditionsSummary": "PodScheduled=True, Initialized=True, ContainersReady=True",
    "cpuMillicoresUsed": "120",
    "memoryMbUsed": "210",
}
STEP = "U3RlcCAxLzg6IEZST00gcHl0aG9uOjMuMTItc2xpbQo="
CHUNK = {"data": STEP, "timestampMs": "1716894002000"}

LINES = LogChunk([1716894000123], ["stdout"], ["processed batch 42 in 18ms"])
EVENTS = (
    Event(
        1716894001000,
        "OOM_KILLED",
        "OOMKilling",
        "Memory cgroup out of memory: Killed process 1",
        POD,
        1,
        "Warning",
    ),
)
OUTPUT = Output([1716894002000], [b"Step 1/8: FROM python:3.12-slim\n"])

Ask = Callable[[Client], Awaitable[object]]


@dataclass(frozen=True)
class Row:
    """A call: how it is asked for, what the page shows of request and answer, what the answer means.

    `documented` is the page's URL and `fields` are what it asks with; `asked` are the fields that we ask with.
    """

    call: str
    documented: str
    fields: dict[str, Any]
    ask: Ask
    asked: dict[str, Any]
    answers: list[dict[str, Any]]
    means: object
    streaming: bool = False
    response: str = ""
    query: dict[str, list[str]] = field(default_factory=dict)  # that we send

    def __str__(self) -> str:
        return self.call


def first(opened: Callable[[Client], Any]) -> Ask:
    """What a stream brings first."""

    async def ask(platform: Client) -> object:
        async with opened(platform) as stream:
            return await anext(aiter(stream))

    return ask


async def build_log(platform: Client) -> object:
    async with platform.builds.get_build_log(APP, "bld_01HZX9") as log:
        content = b"".join([piece async for piece in log])
        return content, log.found


ROWS = [
    Row(
        "ListApps",
        "/v1/ignite/app/acme-corp",
        {"organization_name": "acme-corp"},
        lambda platform: platform.list_apps(),
        {"organization_name": "acme-corp"},
        [{"apps": [{"id": "acme-corp/checkout", "name": "checkout"}], "nextCursor": ""}],  # [I]
        ["checkout"],
    ),
    Row(
        "ListAppReplicas",
        f"{AT}/replicas",
        OF_APP,
        lambda platform: platform.list_replicas(APP),
        OF_APP,
        [{"replicas": [REPLICA]}],
        [Replica(APP, POD, "worker-eu-1", "ip-10-0-3-17", "STATUS_RUNNING", True, 0, 1716893900000)],
    ),
    Row(
        "GetAppLogs",
        f"{AT}/logs?limit=200",
        OF_APP | {"limit": 200},
        lambda platform: platform.get_logs(APP, POD, 200),
        OF_APP | {"limit": 200, "replica_id": POD},
        [{"lines": [LINE], "truncated": False}],
        LogPage(LINES, truncated=False),
        query={"limit": ["200"], "replicaId": [POD]},
    ),
    Row(
        "StreamAppLogs",
        f"{AT}/logs/stream",
        OF_APP,
        first(lambda platform: platform.stream_logs(APP, POD)),
        OF_APP | {"replica_id": POD, "from_start": True},
        [LINE],
        LINES,
        streaming=True,
        response="LogLine",
        query={"fromStart": ["true"], "replicaId": [POD]},
    ),
    Row(
        "GetAppEvents",
        f"{AT}/events?severity=Warning",
        OF_APP | {"severity": "Warning"},
        lambda platform: platform.get_events(APP),
        OF_APP,
        [{"events": [EVENT], "truncated": False}],
        EventPage(EVENTS, truncated=False),
    ),
    Row(
        "StreamAppEvents",
        f"{AT}/events/stream",
        OF_APP,
        first(lambda platform: platform.stream_events(APP)),
        OF_APP,
        [EVENT],
        EventPage(EVENTS),
        streaming=True,
        response="AppEvent",
    ),
    Row(
        "GetBuildLog",
        f"{AT}/builds/bld_01HZX9/log",
        OF_APP | {"build_id": "bld_01HZX9"},
        build_log,
        OF_APP | {"build_id": "bld_01HZX9"},
        [{"log": STEP, "found": True}],
        (base64.b64decode(STEP), True),
    ),
    Row(
        "StreamCompileLogs",
        "/v1/ignite/compile/dpl_01HZX9/logs?fromStart=true",
        {"deploy_id": "dpl_01HZX9", "from_start": True},
        first(lambda platform: platform.builds.stream_compile_logs("dpl_01HZX9")),
        {"deploy_id": "dpl_01HZX9", "from_start": True},
        [CHUNK],
        OUTPUT,
        streaming=True,
        response="CompileLogChunk",
        query={"fromStart": ["true"]},
    ),
    # https://docs.dodil.io/ignite/compute/api-reference/drafts
    Row(
        "GetDraftInfo",
        f"{AT}/draft",
        OF_APP,
        lambda platform: platform.builds.get_draft(APP),
        OF_APP,
        [
            {
                "draft": {
                    "status": "VERSION_STATUS_DRAFT",
                    "createdAtMs": "1716893900000",
                    "deployId": "dpl_01HZX9",  # [I]
                }
            }
        ],
        Draft("dpl_01HZX9", created_ms=1716893900000),
    ),
    # https://docs.dodil.io/ignite/build/api-reference/builds
    Row(
        "ListBuilds",
        "/v1/ignite/builds",
        {},
        lambda platform: platform.builds.list_builds(),
        {},
        [{"builds": [{"buildId": "bld_01HZX9", "status": "BUILD_STATUS_SUCCEEDED"}]}],  # [I]
        [Build("bld_01HZX9", status="SUCCEEDED")],
    ),
    Row(
        "StreamBuildLogs",
        "/v1/ignite/builds/bld_01HZX9/logs/stream?fromStart=true",
        {"build_id": "bld_01HZX9", "from_start": True},
        first(lambda platform: platform.builds.stream_build_logs("bld_01HZX9")),
        {"build_id": "bld_01HZX9", "from_start": True},
        [CHUNK],  # [I]
        OUTPUT,
        streaming=True,
        response="BuildLogChunk",
        query={"fromStart": ["true"]},
    ),
]
every_row = pytest.mark.parametrize("row", ROWS, ids=str)


@asynccontextmanager
async def client_of(server: H1Server) -> AsyncIterator[Client]:
    """A client of a gateway in plaintext."""
    settings = {
        "endpoint": f"http://{server.address}",
        "organization": APP.organization,
        "auth": {"type": "token", "token": "t0ken"},
    }
    platform = connect(IgniteSettings.model_validate(settings))
    try:
        yield platform
    finally:
        await platform.aclose()


def json_of(answers: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(answer).encode() for answer in answers)


def test_every_documented_call_and_every_route_that_is_used_is_in_the_table() -> None:
    """The page's own table has seven."""
    calls = {row.call for row in ROWS}
    assert calls > {
        "GetAppLogs",
        "StreamAppLogs",
        "GetAppEvents",
        "StreamAppEvents",
        "ListAppReplicas",
        "GetBuildLog",
        "StreamCompileLogs",
    }
    assert calls == ROUTES.keys()


@every_row
def test_the_documented_url_is_what_its_route_makes_of_the_documented_fields(row: Row) -> None:
    assert ROUTES[row.call].url(row.fields) == row.documented


@every_row
async def test_over_http_the_documented_answer_is_asked_for_and_understood(row: Row) -> None:
    async def script(request: Request) -> None:
        await request.answer(json_of(row.answers), content_type="application/json")

    async with H1Server(script) as server, client_of(server) as platform:
        assert await row.ask(platform) == row.means
    (request,) = server.requests
    target = urlsplit(request.target)
    assert (request.method, target.path) == ("GET", urlsplit(row.documented).path)
    assert parse_qs(target.query) == row.query
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["host"] == server.address


@every_row
async def test_over_grpc_the_same_answer_is_asked_for_and_understood(row: Row) -> None:
    async def script(exchange: Exchange) -> None:
        kind = getattr(pb, row.response or f"{row.call}Response")
        await exchange.answer(
            *(json_format.ParseDict(answer, kind()).SerializeToString() for answer in row.answers)
        )

    async with H2Server(serving(**{row.call: script})) as server, platform_of(server) as platform:
        assert await row.ask(platform) == row.means
    request = next(each for each in server.exchanges if each.path.endswith(f"/{row.call}"))
    service = "BuildService" if row.call in ("ListBuilds", "StreamBuildLogs") else "ComputeService"
    assert request.path == f"/dodil.ignite.v1.{service}/{row.call}"
    assert getattr(pb, f"{row.call}Request").FromString(request.message) == getattr(pb, f"{row.call}Request")(
        **row.asked
    )


@every_row
@pytest.mark.parametrize(
    ("http", "grpc", "code"),
    [
        (401, 16, Code.UNAUTHENTICATED),
        (403, 7, Code.PERMISSION_DENIED),
        (404, 12, Code.UNIMPLEMENTED),  # nobody says whether the route or the thing is not there
        (429, 8, Code.RESOURCE_EXHAUSTED),
        (501, 12, Code.UNIMPLEMENTED),
        (503, 14, Code.UNAVAILABLE),
    ],
)
async def test_its_failures_are_the_same_over_both(row: Row, http: int, grpc: int, code: Code) -> None:
    async def page(request: Request) -> None:
        await request.answer(b"<html><title>No</title></html>", http, content_type="text/html")

    async def refusal(exchange: Exchange) -> None:
        await exchange.refuse(grpc, "No")

    async with H1Server(page) as server, client_of(server) as platform:
        with pytest.raises(CallFailed, match=f"HTTP {http}: No") as over_http:
            await row.ask(platform)
    async with H2Server(serving(**{row.call: refusal})) as server2, platform_of(server2) as platform2:
        with pytest.raises(CallFailed) as over_grpc:
            await row.ask(platform2)
    assert over_http.value.status.code is over_grpc.value.status.code is code
