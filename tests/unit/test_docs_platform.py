"""docs/platform.md says of every call that is made over what it goes and what happens without it."""

from __future__ import annotations

import re
from pathlib import Path

from shipper.daemon.gathering import OF_CALLS
from shipper.ignite.gateway.routes import ROUTES
from shipper.ignite.gateway.scanner import MAX_DEPTH, MAX_VALUE

PAGE = (Path(__file__).parents[2] / "docs" / "platform.md").read_text()
ROWS = {
    cells[0]: cells
    for line in PAGE.splitlines()
    if line.startswith("| ")
    and (cells := [cell.strip() for cell in line.strip("| ").split(" | ")])[0] in ROUTES
}


def test_every_call_has_a_row() -> None:
    assert ROWS.keys() == ROUTES.keys()
    assert all(len(cells) == 4 and all(cells) for cells in ROWS.values())


def test_routes_are_those_that_are_asked() -> None:
    for call, (_, route, *_) in ROWS.items():
        path = route.strip("`").partition("?")[0].replace("…", "/v1/ignite/app/{organization}")
        asked = ROUTES[call].path.replace("organization_name", "organization").replace("app_name", "app")
        assert path == asked
        for name in re.findall(r"[?&](\w+)=", route):
            assert name in ROUTES[call].query.values()


def test_what_is_off_without_a_call_has_the_name_that_the_status_shows() -> None:
    for call, (_, name) in OF_CALLS.items():
        assert f"**{name}**" in ROWS[call][3]


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"{MAX_VALUE >> 20} MiB or {MAX_DEPTH} levels" in PAGE
