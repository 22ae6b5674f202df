"""The committed stubs are what proto/ignite_compute.proto generates."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "shipper" / "ignite" / "pb"


def without_versions(text: str) -> str:
    """The generator notes its own version in the text; another patch of it must not fail the test."""
    text = re.sub(r"Protobuf Python Version: \S+", "", text)
    return re.sub(r"(Domain\.PUBLIC,)\s*\d+,\s*\d+,\s*\d+,\s*'[^']*',", r"\1", text)


def test_regenerating_the_stubs_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    subprocess.run(
        [str(ROOT / "proto" / "generate.sh"), str(tmp_path)],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHON": sys.executable},
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["ignite_compute_pb2.py", "ignite_compute_pb2.pyi"]
    for name in names:
        assert without_versions((tmp_path / name).read_text()) == without_versions(
            (COMMITTED / name).read_text()
        )
