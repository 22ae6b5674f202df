"""The audit of dependencies fails for what is known to be vulnerable, and never for want of a network."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FINE = {"name": "one", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "two", "skip_reason": "Dependency not found on PyPI and could not be audited: two (2.0)"}
BAD = {"name": "three", "version": "3.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.1"]}]}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    loader = SourceFileLoader("audit", str(ROOT / ".ci" / "audit"))
    spec = spec_from_loader("audit", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([FINE], 0, "no known vulnerabilities in 1 packages"),
        ([FINE, UNKNOWN], 0, "1 unknown to the database"),
        ([UNKNOWN], 0, "skipped"),
        ([], 0, "skipped"),
        ([FINE, BAD], 1, "three 3.0: PYSEC-2026-1 (mended in 3.1)"),
    ],
)
def test_a_report_is_judged_by_what_the_database_knew(
    audit: ModuleType, packages: list[dict[str, Any]], status: int, words: str
) -> None:
    """pip-audit itself says "no known vulnerabilities" where it could look up nothing."""
    found, message = audit.judge({"dependencies": packages})
    assert found == status
    assert words in message


@pytest.mark.parametrize("error", [OSError("no network"), ValueError("no JSON")])
def test_a_tool_that_cannot_be_had_is_said_and_is_no_failure(
    audit: ModuleType, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def installed() -> Path:
        raise error

    monkeypatch.setattr(audit, "installed", installed)
    assert audit.main() == 0
    assert "skipped" in capsys.readouterr().out
