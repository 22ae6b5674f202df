"""Which hosts are reached through the proxy that the environment names."""

from __future__ import annotations

import pytest

from shipper.ignite.proxy import Proxy, for_host
from shipper.ignite.transport import ConnectFailed

PROXY = {"HTTPS_PROXY": "http://proxy.example:3128"}


def test_without_a_variable_there_is_no_proxy() -> None:
    for environment in ({}, {"HTTPS_PROXY": ""}, {"HTTPS_PROXY": " "}, {"HTTP_PROXY": "http://p:1"}):
        assert for_host("ignite.example", 443, environment) is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example/", Proxy("proxy.example", 80)),
        ("http://me:p%40ss@[::1]:8080", Proxy("::1", 8080, "me:p@ss")),
        ("http://me@proxy.example", Proxy("proxy.example", 80, "me:")),
    ],
)
def test_a_proxy_is_a_host_a_port_and_perhaps_credentials(url: str, proxy: Proxy) -> None:
    assert for_host("ignite.example", 443, {"https_proxy": url}) == proxy
    assert "p@ss" not in repr(proxy)


def test_the_lower_case_variable_counts_more() -> None:
    found = for_host(
        "ignite.example", 443, {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"}
    )
    assert found == Proxy("lower", 2)


@pytest.mark.parametrize(
    "url", ["https://proxy.example:3128", "socks5://p:1", "http://", "http://p:port", "http://[::1"]
)
def test_what_is_no_http_proxy_is_said_without_its_credentials(url: str) -> None:
    with pytest.raises(ConnectFailed, match="HTTPS_PROXY") as failed:
        for_host("ignite.example", 443, {"HTTPS_PROXY": url.replace("//", "//me:s3cret@")})
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "LOCALHOST"])
def test_loopback_is_reached_directly(host: str) -> None:
    assert for_host(host, 443, PROXY) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "ignite.example", True),
        ("example", "ignite.example", True),
        (".example", "ignite.example", True),
        ("*.example", "ignite.example", True),
        ("ignite.example", "IGNITE.example.", True),
        ("ignite.example:443", "ignite.example", True),
        ("ignite.example:80", "ignite.example", False),
        ("gnite.example", "ignite.example", False),
        ("other, ignite.example", "ignite.example", True),
        ("", "ignite.example", False),
        (",", "ignite.example", False),
        (".", "ignite.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("fd00::/8", "fd12::1", True),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(no_proxy: str, host: str, direct: bool) -> None:
    assert (for_host(host, 443, {**PROXY, "NO_PROXY": no_proxy}) is None) == direct
