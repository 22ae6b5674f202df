"""The emulator's unary calls, reflection and tokens, seen by a plain gRPC client."""

from __future__ import annotations

import aiohttp
import grpc
import pytest
import trustme

from shipper.emulator import Emulator, Reflection, Scenario, Tls
from tests.servers.emulator_client import Client


def code(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> grpc.StatusCode:
    return error.value.code()


@pytest.mark.parametrize(
    ("served", "answering"),
    [("both", {"v1", "v1alpha"}), ("v1", {"v1"}), ("v1alpha", {"v1alpha"}), ("off", set())],
)
async def test_reflection_is_served_in_the_chosen_generations(served: str, answering: set[str]) -> None:
    async with Emulator(Scenario(reflection=Reflection(served))) as ignite, Client(ignite) as client:
        for generation in ("v1", "v1alpha"):
            if generation in answering:
                answer = await client.reflect(generation, list_services="")
                names = {service.name for service in answer.list_services_response.service}
                assert "dodil.ignite.v1.ComputeService" in names
                assert f"grpc.reflection.{generation}.ServerReflection" in names
            else:
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await client.reflect(generation, list_services="")
                assert code(error) is grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_asks_for_the_token_unless_told_otherwise() -> None:
    async with Emulator() as ignite, Client(ignite, token="") as client:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.schema()
        assert code(error) is grpc.StatusCode.UNAUTHENTICATED
    async with (
        Emulator(Scenario(reflection_needs_token=False)) as ignite,
        Client(ignite, token="") as client,
    ):
        await client.schema()


async def test_reflection_says_what_it_does_not_have() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        for request in (
            {"file_by_filename": "nothing.proto"},
            {"file_containing_symbol": "no.such.Symbol"},
            {"file_containing_extension": {"containing_type": "x", "extension_number": 1}},
        ):
            answer = await client.reflect("v1", **request)
            assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        answer = await client.reflect("v1")
        assert answer.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(),
        Scenario(renumber=3),
        Scenario(renumber=4, declare_line="bytes"),
        Scenario(renumber=5, split_files=True),
        Scenario(renumber=6, split_files=True, reflection_with_imports=False),
    ],
)
async def test_a_client_that_decodes_by_name_reads_every_numbering(scenario: Scenario) -> None:
    async with Emulator(scenario) as ignite, Client(ignite) as client:
        await client.schema()
        app = ignite.app("checkout")
        pod = app.start_replica("checkout-1", node_name="node-7", events=False)
        pod.print("out", ts=-3)
        pod.print("err", ts=2**53, stream="stderr")
        app.event("OOMKilling", "killed", "checkout-1")

        (row,) = (await client.unary("ListAppReplicas", app_name="checkout")).replicas
        assert (row.replica_id, row.node_name, row.ready, row.restart_count) == (
            "checkout-1",
            "node-7",
            True,
            0,
        )
        assert (client.enum("ReplicaStatus", row.status), row.started_ms) == (
            "STATUS_RUNNING",
            pod.started_ms,
        )

        lines = (await client.unary("GetAppLogs", app_name="checkout")).lines
        texts = ["out", "err"] if scenario.declare_line == "string" else [b"out", b"err"]
        assert [(line.timestamp_ms, line.line) for line in lines] == [(-3, texts[0]), (2**53, texts[1])]
        streams = [client.enum("LogStream", line.stream) for line in lines]
        assert streams == ["LOG_STREAM_STDOUT", "LOG_STREAM_STDERR"]

        (event,) = (await client.unary("GetAppEvents", app_name="checkout", severity="Warning")).events
        assert client.enum("AppEventKind", event.kind) == "APP_EVENT_KIND_OOM_KILLED"
        assert (event.reason, event.count, event.replica_id) == ("OOMKilling", 1, "checkout-1")


async def test_apps_come_in_pages_that_follow_the_cursor() -> None:
    async with Emulator(Scenario(page_size=2)) as ignite, Client(ignite) as client:
        await client.schema()
        for name in ("a", "b", "c", "d", "e"):
            ignite.app(name)
        pages, cursor = [], ""
        while True:
            answer = await client.unary("ListApps", cursor=cursor, limit=50)
            pages.append([app.name for app in answer.apps])
            cursor = answer.next_cursor
            if not cursor:
                break
        assert pages == [["a", "b"], ["c", "d"], ["e"]]
        assert answer.apps[0].id == "acme-corp/e"


async def test_get_app_logs_keeps_the_newest_lines_and_says_when_there_were_more() -> None:
    async with Emulator(Scenario(logs_cap=4)) as ignite, Client(ignite) as client:
        await client.schema()
        app = ignite.app("a")
        first, second = app.start_replica(), app.start_replica()
        for number in range(3):
            first.print(f"first {number}", ts=number * 10)
            second.print(f"second {number}", ts=number * 10 + 5)

        answer = await client.unary("GetAppLogs", app_name="a", limit=2)
        assert ([line.line for line in answer.lines], answer.truncated) == (["first 2", "second 2"], True)
        answer = await client.unary("GetAppLogs", app_name="a", limit=1000)
        assert (len(answer.lines), answer.truncated) == (4, True)
        answer = await client.unary("GetAppLogs", app_name="a", replica_id=first.replica_id)
        assert ([line.line for line in answer.lines], answer.truncated) == (
            ["first 0", "first 1", "first 2"],
            False,
        )


@pytest.mark.parametrize("is_error", [True, False])
async def test_logs_of_a_replica_that_is_gone(is_error: bool) -> None:
    async with Emulator(Scenario(unknown_replica_is_error=is_error)) as ignite, Client(ignite) as client:
        await client.schema()
        pod = ignite.app("a").start_replica()
        pod.print("x")
        pod.gone()
        if is_error:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await client.unary("GetAppLogs", app_name="a", replica_id=pod.replica_id)
            assert code(error) is grpc.StatusCode.NOT_FOUND
        else:
            assert not (await client.unary("GetAppLogs", app_name="a", replica_id=pod.replica_id)).lines
        assert [line.line for line in ignite.ledger.unsent] == ["x"]


async def test_only_listed_replicas_are_listed_and_only_known_apps_answer() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        ignite.app("a").start_replica(listed=False)
        assert not (await client.unary("ListAppReplicas", app_name="a")).replicas
        for fields in ({"app_name": "b"}, {"app_name": "a", "organization_name": "other"}):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await client.unary("ListAppReplicas", **fields)
            assert code(error) is grpc.StatusCode.NOT_FOUND


async def test_refusals_hit_the_calls_they_name_as_often_as_they_say() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        ignite.app("a")
        ignite.app("b")
        ignite.faults.refuse("ListAppReplicas", "RESOURCE_EXHAUSTED", app="a", times=1, message="slow down")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.unary("ListAppReplicas", app_name="a")
        assert (code(error), error.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down")
        await client.unary("ListAppReplicas", app_name="a")

        denial = ignite.faults.deny("b")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.unary("GetAppEvents", app_name="b")
        assert code(error) is grpc.StatusCode.PERMISSION_DENIED
        await client.unary("GetAppEvents", app_name="a")
        denial.lift()
        await client.unary("GetAppEvents", app_name="b")


async def test_lists_can_be_empty_and_answers_late_on_request() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        ignite.app("a").start_replica()
        ignite.faults.empty("ListAppReplicas", times=1)
        ignite.faults.empty("ListApps", times=1)
        ignite.faults.delay("ListApps", 0.01, times=1)
        assert not (await client.unary("ListAppReplicas", app_name="a")).replicas
        assert len((await client.unary("ListAppReplicas", app_name="a")).replicas) == 1
        assert not (await client.unary("ListApps")).apps
        assert len((await client.unary("ListApps")).apps) == 1
        assert ignite.calls.made["ListApps"] == 2


async def test_tls_with_a_client_certificate() -> None:
    authority = trustme.CA()
    server, machine = authority.issue_cert("127.0.0.1"), authority.issue_cert("client.example")
    tls = Tls(
        server.cert_chain_pems[0].bytes(),
        server.private_key_pem.bytes(),
        client_ca=authority.cert_pem.bytes(),
    )
    shown = grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(), machine.private_key_pem.bytes(), machine.cert_chain_pems[0].bytes()
    )
    async with Emulator(Scenario(tls=tls)) as ignite:
        assert ignite.endpoint.startswith("grpcs://")
        async with Client(ignite, credentials=shown) as client:
            await client.schema()


async def test_the_token_endpoint_issues_what_the_calls_accept() -> None:
    scenario = Scenario(token="", token_endpoint=True, token_lifetime_s=300)
    form = {
        "grant_type": "client_credentials",
        "client_id": scenario.client_id,
        "client_secret": scenario.client_secret,
    }
    async with Emulator(scenario) as ignite, aiohttp.ClientSession() as http:
        async with http.post(ignite.token_url, data=form) as answer:
            body = await answer.json()
        assert (answer.status, body["expires_in"], body["token_type"]) == (200, 300, "Bearer")
        async with Client(ignite, token=body["access_token"]) as client:
            await client.schema()
            ignite.expire_tokens()
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await client.unary("ListApps")
            assert (code(error), error.value.details()) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "the token has expired",
            )
        async with http.post(ignite.token_url, data={**form, "client_secret": "wrong"}) as answer:
            assert answer.status == 401
        async with http.post(ignite.token_url, data={**form, "grant_type": "password"}) as answer:
            assert answer.status == 400
        ignite.tokens.down = True
        async with http.post(ignite.token_url, data=form) as answer:
            assert answer.status == 503
        assert (ignite.tokens.requests, len(ignite.tokens.issued)) == (4, 1)
