"""Servers for this folder, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.bugsink import Bugsink, bugsink, find_bugsink


@pytest.fixture(scope="session")
def issues_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    programs = find_bugsink()
    if programs is None:
        pytest.skip("bugsink is not installed; see tests/servers/bugsink.py")
    with bugsink(programs, tmp_path_factory.mktemp("bugsink")) as server:
        yield server
