"""How a call becomes a path and a query, whatever the names hold."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.emulator.http_routes import ROUTES as OTHERS
from shipper.emulator.http_routes import asked
from shipper.ignite.gateway.routes import ROUTES

NAMES = ["a/b", "..", ".", "%2F", "a?b=c", "a#b", "sp ace", "größe", "a+b", "{x}", "a:b@c", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_in_its_segment(name: str) -> None:
    url = ROUTES["ListAppReplicas"].url({"organization_name": "acme", "app_name": name})
    segments = urlsplit(url).path.split("/")
    assert len(segments) == 7
    assert segments[5] not in (".", "..")  # which clients and proxies would take away
    assert unquote(segments[5]) == name
    assert url.isascii()


@given(
    st.text(min_size=1, max_size=20),
    st.text(min_size=1, max_size=20),
    st.text(max_size=20),
    st.integers(0, 10**6),
)
def test_every_name_comes_back_out_of_the_url(organization: str, app: str, replica: str, limit: int) -> None:
    fields = {"organization_name": organization, "app_name": app, "replica_id": replica, "limit": limit}
    try:
        url = ROUTES["GetAppLogs"].url(fields)
    except UnicodeEncodeError:
        assert any("\ud800" <= char <= "\udfff" for char in organization + app + replica)
        return
    found = asked(url)
    assert found is not None
    assert (found.method, found.fields["organization_name"], found.fields["app_name"]) == (
        "GetAppLogs",
        organization,
        app,
    )
    query = parse_qs(urlsplit(url).query)
    assert query.get("replicaId", [""]) == [replica]
    assert query.get("limit", ["0"]) == [str(limit)]


def test_defaults_are_left_out_and_truth_is_a_word() -> None:
    route = ROUTES["StreamAppLogs"]
    fields = {"organization_name": "o", "app_name": "a", "replica_id": "", "from_start": False}
    assert "?" not in route.url(fields)
    assert route.url(fields | {"from_start": True}).endswith("?fromStart=true")


def test_the_emulator_serves_every_route_that_is_called() -> None:
    assert {name: route.path for name, route in ROUTES.items()}.items() <= OTHERS.items()
