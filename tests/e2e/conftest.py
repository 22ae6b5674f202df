"""A daemon per test that is ended whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.e2e.daemon_process import Shipper

Make = Callable[..., Shipper]


@pytest.fixture
async def shipper(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes daemons in folders of their own."""
    made: list[Shipper] = []

    def make(endpoint: str, **settings: str) -> Shipper:
        folder = tmp_path / f"daemon-{len(made)}"
        folder.mkdir()
        made.append(Shipper(folder, endpoint, **settings))
        return made[-1]

    yield make
    for one in made:
        await one.make_sure_it_is_gone()
