"""Who the S3 sink is: keys, the AWS chain with web identity, and what is said when there are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.sinks.port import Delivered, Parked
from tests.integration.sink_conformance import sealed
from tests.servers.fault_proxy import FaultProxy
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, Store, opened

CHAIN = {"access_key_id": None, "secret_access_key": None}


@pytest.fixture(autouse=True)
def no_identity_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The chain finds only what a test gives."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield


async def test_a_role_of_a_service_account_is_assumed(
    moto_http: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("header.payload.signature")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/shipper")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_http.endpoint_url)
    moto_http.make_bucket(bucket)
    async with (
        FaultProxy(moto_http.endpoint_url) as proxy,
        opened(moto_http.options(bucket, endpoint_url=proxy.url, **CHAIN)) as sink,
    ):
        one = sealed()
        assert isinstance(await sink.send(one.batch, one.frames), Delivered)
        assert "x-amz-security-token" in proxy.requests[0].headers


async def test_a_token_file_that_is_missing_parks_and_names_it(
    moto_http: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "absent-token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/shipper")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_http.endpoint_url)
    async with opened(moto_http.options(bucket, **CHAIN)) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
    assert isinstance(outcome, Parked)
    assert "absent-token" in outcome.reason


async def test_without_credentials_it_parks_and_goes_on_when_there_are_some(
    moto_http: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_http.make_bucket(bucket)
    one = sealed()
    async with opened(moto_http.options(bucket, **CHAIN)) as sink:
        outcome = await sink.send(one.batch, one.frames)
        assert isinstance(outcome, Parked)
        assert "no usable AWS credentials" in outcome.reason
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        assert isinstance(await sink.send(one.batch, one.frames), Delivered)


async def test_a_profile_is_taken_from_the_shared_files(
    moto_http: Store, bucket: str, tmp_path: Path
) -> None:
    moto_http.make_bucket(bucket)
    (tmp_path / "credentials").write_text(
        f"[logs]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
    )
    async with opened(moto_http.options(bucket, profile="logs", **CHAIN)) as sink:
        assert isinstance(await sink.send(sealed().batch, sealed().frames), Delivered)


async def test_a_profile_that_does_not_exist_parks_and_opening_survives_it(
    moto_http: Store, bucket: str
) -> None:
    async with opened(moto_http.options(bucket, profile="nobody", **CHAIN)) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
    assert isinstance(outcome, Parked)
    assert "nobody" in outcome.reason


async def test_a_wrong_secret_parks_and_is_not_shown(versity: Store, bucket: str) -> None:
    versity.make_bucket(bucket)
    async with opened(versity.options(bucket, secret_access_key="wrong-secret")) as sink:
        outcomes = [await sink.send(sealed().batch, sealed().frames), await sink.check()]
    for outcome in outcomes:
        assert isinstance(outcome, Parked)
        assert "SignatureDoesNotMatch" in outcome.reason
        assert "wrong-secret" not in outcome.reason


async def test_an_unknown_key_parks_and_names_the_setting(versity: Store, bucket: str) -> None:
    versity.make_bucket(bucket)
    async with opened(versity.options(bucket, access_key_id="nobody")) as sink:
        outcomes = [await sink.send(sealed().batch, sealed().frames), await sink.check()]
    for outcome in outcomes:
        assert isinstance(outcome, Parked)
        assert "access_key_id" in outcome.reason


async def test_a_bucket_that_does_not_exist_parks(moto_http: Store, versity: Store, bucket: str) -> None:
    for store in (moto_http, versity):
        async with opened(store.options(bucket)) as sink:
            outcomes = [await sink.send(sealed().batch, sealed().frames), await sink.check()]
        for outcome in outcomes:
            assert isinstance(outcome, Parked)
            assert "make the bucket" in outcome.reason


async def test_a_key_longer_than_s3_allows_is_rejected_alone(versity: Store, bucket: str) -> None:
    versity.make_bucket(bucket)
    async with opened(versity.options(bucket, prefix="p" * 1000)) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
    assert "prefix" in getattr(outcome, "reason", "")
    assert type(outcome).__name__ == "Rejected"
