"""From the configuration to a platform: what it is built of, what is refused before anything starts, what is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme

from shipper.config.platform import IgniteSettings
from shipper.errors import ConfigError
from shipper.ignite.auth import ClientCredentials, FixedToken, NoToken, TokenFile
from shipper.ignite.connect import connect
from shipper.ignite.token_endpoint import TokenEndpoint
from tests.fakes.meter import FakeMeter
from tests.servers.tls import Tls, make_tls

SECRET = "s3cret"


def settings(**changes: Any) -> IgniteSettings:
    return IgniteSettings.model_validate(
        {
            "endpoint": "grpcs://ignite.example:7443",
            "organization": "acme",
            "auth": {"type": "none"},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_tls(tmp_path_factory.mktemp("tls"))


def test_the_endpoints_scheme_decides_about_tls() -> None:
    assert connect(settings()).base_url == "https://ignite.example:7443"
    assert connect(settings(endpoint="grpc://[::1]:50051")).base_url == "http://[::1]:50051"


def test_the_server_name_is_the_urls_host_and_the_ports_stays() -> None:
    assert (
        connect(settings(tls={"server_name": "Ignite.Internal"})).base_url == "https://ignite.internal:7443"
    )


def test_each_kind_of_auth_has_its_source() -> None:
    meter = FakeMeter()
    by_credentials = {
        "type": "client_credentials",
        "token_url": "https://id.example/token",
        "client_id": "me",
        "client_secret": SECRET,
    }
    source = connect(settings(auth=by_credentials), meter).tokens
    assert isinstance(source, ClientCredentials)
    assert isinstance(source.fetch, TokenEndpoint)
    assert (source.fetch.url, source.fetch.client_id, source.fetch.client_secret) == (
        "https://id.example/token",
        "me",
        SECRET,
    )
    assert source.meter is meter
    assert isinstance(connect(settings(auth={"type": "token", "token": SECRET})).tokens, FixedToken)
    assert isinstance(connect(settings(auth={"type": "token_file", "path": "/run/token"})).tokens, TokenFile)
    assert isinstance(connect(settings()).tokens, NoToken)


def test_headers_are_revealed_for_the_wire_and_nowhere_else() -> None:
    platform = connect(
        settings(headers={"x-organization-name": SECRET}, auth={"type": "token", "token": SECRET})
    )
    assert platform.headers == {"x-organization-name": SECRET}
    assert SECRET not in repr(platform)


def test_files_that_are_well_are_taken(tls: Tls) -> None:
    files = {"ca_file": str(tls.ca_file), "cert_file": str(tls.cert_file), "key_file": str(tls.key_file)}
    platform = connect(settings(tls=files))
    assert tls.key_file.read_text() not in repr(platform)
    assert platform.connect() is not None


def test_files_of_a_plaintext_endpoint_are_not_looked_at() -> None:
    connect(settings(endpoint="grpc://ignite.example:80", tls={"ca_file": "/nowhere"}))


def broken(tls: Tls, tmp_path: Path) -> dict[str, tuple[dict[str, str], str, str]]:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    empty = tmp_path / "empty.pem"
    empty.touch()
    other_key = tmp_path / "other.pem"
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(str(other_key))
    cert = str(tls.cert_file)
    return {
        "missing authority": ({"ca_file": str(tmp_path / "no")}, "ca_file", "cannot be read: No such file"),
        "a folder": ({"ca_file": str(tmp_path)}, "ca_file", "cannot be read: Is a directory"),
        "empty authority": ({"ca_file": str(empty)}, "ca_file", "holds no certificates"),
        "garbage authority": ({"ca_file": str(garbage)}, "ca_file", "holds no certificates"),
        "missing key": ({"cert_file": cert, "key_file": str(tmp_path / "no")}, "key_file", "cannot be read"),
        "another's key": (
            {"cert_file": cert, "key_file": str(other_key)},
            "cert_file",
            "no certificate with its",
        ),
        "no key in it": (
            {"cert_file": cert, "key_file": str(garbage)},
            "cert_file",
            "no certificate with its",
        ),
        "name is an address": ({"server_name": "10.0.0.1"}, "server_name", "is an IP address"),
    }


def test_files_that_cannot_be_used_are_named_before_anything_starts(tls: Tls, tmp_path: Path) -> None:
    for what, (files, setting, words) in broken(tls, tmp_path).items():
        with pytest.raises(ConfigError) as stop:
            connect(settings(tls=files))
        (problem,) = stop.value.problems
        assert problem.path == f"ignite.tls.{setting}", what
        assert words in problem.message, what
        assert "PRIVATE KEY" not in str(stop.value), what
