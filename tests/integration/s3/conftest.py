"""S3 servers for this folder, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.s3 import Store, find_versitygw, moto, versitygw
from tests.servers.tls import Tls, make_tls


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="session")
def tls(logs: Path) -> Tls:
    return make_tls(logs)


@pytest.fixture(scope="session")
def moto_http(logs: Path) -> Iterator[Store]:
    with moto(logs) as store:
        yield store


@pytest.fixture(scope="session")
def moto_https(logs: Path, tls: Tls) -> Iterator[Store]:
    with moto(logs, tls) as store:
        yield store


@pytest.fixture(scope="session")
def versity(logs: Path) -> Iterator[Store]:
    program = find_versitygw()
    if program is None:
        pytest.skip("versitygw is not installed; see tests/servers/s3.py")
    with versitygw(program, logs) as store:
        yield store


@pytest.fixture
def bucket() -> str:
    """The name of a bucket that no other test has."""
    return f"logs-{uuid4().hex[:12]}"
