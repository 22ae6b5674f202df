"""Endpoints, listen addresses and URLs: what is accepted, with which defaults, and what is refused."""

import pytest

from shipper.config.endpoint import (
    Address,
    AddressError,
    Endpoint,
    check_http_url,
    is_loopback,
    parse_address,
    parse_endpoint,
)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("grpcs://rpc.dodil.io:443", Endpoint("grpcs", "rpc.dodil.io", 443)),
        ("grpcs://rpc.dodil.io", Endpoint("grpcs", "rpc.dodil.io", 443)),
        ("grpc://localhost", Endpoint("grpc", "localhost", 80)),
        ("GRPCS://RPC.dodil.io:8443/", Endpoint("grpcs", "rpc.dodil.io", 8443)),
        ("grpc://[::1]:50051", Endpoint("grpc", "::1", 50051)),
        ("grpc://10.0.0.1:1", Endpoint("grpc", "10.0.0.1", 1)),
    ],
)
def test_endpoint_has_scheme_host_and_port(text, endpoint):
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "rpc.dodil.io:443",
        "tcp://rpc.dodil.io",
        "grpcs://",
        "grpcs://:443",
        "grpcs://host:0",
        "grpcs://host:70000",
        "grpcs://host:abc",
        "grpcs://host:",
        "grpcs://host/path",
        "grpcs://host?x=1",
        "grpcs://host#x",
        "grpcs://ho st",
        "grpcs://host\\x",
        "grpcs://::1:443",
        "grpcs://[::1:443",
        "grpcs://-host",
        "grpcs://hö st",
    ],
)
def test_anything_else_is_no_endpoint(text):
    with pytest.raises(AddressError):
        parse_endpoint(text)


@pytest.mark.parametrize(("text", "tls", "port"), [("http://h", False, 80), ("HTTPS://h:8443", True, 8443)])
def test_http_is_the_gateway(text, tls, port):
    endpoint = parse_endpoint(text)
    assert endpoint.gateway
    assert (endpoint.tls, endpoint.port) == (tls, port)
    assert not parse_endpoint("grpcs://h").gateway


def test_credentials_in_an_endpoint_are_refused_and_not_repeated():
    with pytest.raises(AddressError) as caught:
        parse_endpoint("grpcs://user:hunter22@host")
    assert "hunter22" not in str(caught.value)


def test_endpoint_knows_its_other_spellings():
    endpoint = parse_endpoint("grpcs://[::1]:8443")
    assert (str(endpoint), endpoint.authority, endpoint.http_url) == (
        "grpcs://[::1]:8443",
        "[::1]:8443",
        "https://[::1]:8443",
    )
    assert endpoint.tls
    assert parse_endpoint("grpc://h").http_url == "http://h:80"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback_is_what_stays_on_this_machine(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464)),
        ("localhost:0", Address("localhost", 0)),
        ("[::]:9464", Address("::", 9464)),
    ],
)
def test_listen_address_is_host_and_port(text, address):
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["9464", "host", "host:", "host:x", "host:65536", "::1:9464", "[::1]", "[x]:1", "a b:1"]
)
def test_anything_else_is_no_listen_address(text):
    with pytest.raises(AddressError):
        parse_address(text)


def test_listen_address_without_a_host_is_told_how_to_say_all_interfaces():
    with pytest.raises(AddressError, match=r"write 0\.0\.0\.0:9464"):
        parse_address(":9464")


@pytest.mark.parametrize(
    "text", ["https://id.dodil.io/realms/x/token?a=b", "http://127.0.0.1:9000", "HTTPS://[::1]/"]
)
def test_url_is_returned_as_it_came(text):
    assert check_http_url(text) == text


@pytest.mark.parametrize(
    "text", ["id.dodil.io", "ftp://x", "https://", "https://u:p@h/", "https://h:0/", "https://h/#x"]
)
def test_anything_else_is_no_url(text):
    with pytest.raises(AddressError):
        check_http_url(text)
