"""The S3 client with the descriptions of AWS that the sink reads, beside one with botocore's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore.loaders import JSONFileLoader, Loader

from shipper.sinks.s3.connection import Connection, client_config
from shipper.sinks.s3.descriptions import TerseFiles, read
from shipper.sinks.s3.options import S3Options

REGIONS = ["eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1", "auto", "nowhere-7"]
STYLES = [
    {},
    {"endpoint_url": "https://minio.example:9000"},
    {"endpoint_url": "http://127.0.0.1:9000", "addressing_style": "virtual"},
]
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("s3", "put_object", {"Bucket": "logs", "Key": "a/b", "Body": b"x", "Metadata": {"sha256": "0"}}),
    ("s3", "put_object", {"Bucket": "arn:aws:s3:eu-central-1:123456789012:accesspoint/logs", "Key": "a"}),
    ("s3", "head_object", {"Bucket": "logs", "Key": "a/b"}),
    ("s3", "head_bucket", {"Bucket": "logs", "ExpectedBucketOwner": "123456789012"}),
    ("s3", "list_objects_v2", {"Bucket": "logs", "Prefix": "a"}),
    ("s3", "create_session", {"Bucket": "logs--euc1-az1--x-s3"}),
    (
        "sts",
        "assume_role_with_web_identity",
        {"RoleArn": "r" * 20, "RoleSessionName": "s", "WebIdentityToken": "t"},
    ),
    ("sso", "get_role_credentials", {"roleName": "r", "accountId": "1", "accessToken": "t"}),
]
CHANGING = {"authorization", "x-amz-date", "amz-sdk-invocation-id", "x-amz-s3session-token"}


class Asked(Exception):
    """Ends a call when its request is complete."""


async def request(
    session: AioSession, region: str, options: dict[str, Any], call: tuple[str, str, Any]
) -> Any:
    """The request that a call would send, or the error that keeps it from it."""
    service, method, arguments = call
    asked: list[Any] = []

    def keep(request: Any, **_: object) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.body.read() if hasattr(request.body, "read") else request.body
        asked.append((request.method, request.url, headers, body))
        raise Asked

    of_s3 = S3Options("logs", **options)
    client = session.create_client(
        service,
        region_name=region,
        endpoint_url=of_s3.endpoint_url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=client_config(of_s3),
    )
    async with client as made:
        made.meta.events.register("before-send", keep)
        try:
            await getattr(made, method)(**arguments)
        except Exception as error:
            if not asked:
                return type(error), str(error)
    verb, url, headers, body = asked[0]
    return verb, url, {name: value for name, value in headers.items() if name not in CHANGING}, body


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> tuple[AioSession, AioSession]:
    for name in ("AWS_PROFILE", "AWS_DATA_PATH", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    terse, full = AioSession(), AioSession()
    terse.get_component("data_loader").file_loader = TerseFiles()
    return terse, full


@pytest.mark.parametrize("options", STYLES, ids=["aws", "store", "virtual"])
async def test_every_call_sends_what_it_sends_with_the_full_descriptions(
    sessions: tuple[AioSession, AioSession], options: dict[str, Any]
) -> None:
    for region in REGIONS:
        for call in CALLS:
            terse, full = [await request(session, region, options, call) for session in sessions]
            assert terse == full, (region, call)


async def test_the_sinks_own_client_has_the_terse_descriptions_and_knows_few_operations() -> None:
    connection = Connection(
        S3Options("logs", region="eu-central-1", access_key_id="a", secret_access_key="b")
    )
    try:
        client = await connection.client()
        assert set(client.meta.service_model.operation_names) == {
            *("PutObject", "HeadObject", "HeadBucket", "ListObjectsV2", "CreateSession")
        }
        assert client.meta.service_model.operation_model("PutObject").documentation == ""
    finally:
        await connection.aclose()


def test_of_endpoints_only_the_services_that_are_asked_stay(tmp_path: Path) -> None:
    own = {"endpoints": {"eu-central-1": {"variants": [{"hostname": "h", "tags": ["fips"]}]}}, "defaults": {}}
    partition = {"partition": "aws", "regions": {"eu-central-1": {}}, "services": {"s3": own, "ec2": own}}
    (tmp_path / "endpoints.json").write_text(json.dumps({"version": 3, "partitions": [partition]}))
    assert TerseFiles().load_file(str(tmp_path / "endpoints")) == {
        "version": 3,
        "partitions": [partition | {"services": {"s3": own}}],
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("endpoints", {"partitions": [{"services": ["s3"]}, {"services": {"s3": {"hosts": []}}}]}),
        (
            "s3/2006-03-01/service-2",
            {"operations": {"PutObject": {}}, "shapes": {"A": {"documentation": {}}}},
        ),
        ("s3/2006-03-01/service-2", ["operations"]),
        ("_retry", {"definitions": {}}),
    ],
)
def test_a_file_that_is_built_otherwise_is_kept_as_it_is(name: str, content: Any) -> None:
    assert read(Path("data", name), json.dumps(content).encode()) == content


def test_a_packed_file_is_read_and_a_missing_one_is_none() -> None:
    rules = f"{Loader.BUILTIN_DATA_PATH}/s3/2006-03-01/endpoint-rule-set-1"
    assert TerseFiles().load_file(rules)["rules"] == JSONFileLoader().load_file(rules)["rules"]
    assert TerseFiles().load_file("/nowhere/endpoints") is None
