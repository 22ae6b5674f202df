"""The Dockerfile follows the rules of its linter; tests/e2e/test_image.py runs what it makes."""

from __future__ import annotations

from tests.helm.chart import HELM_FOLDER
from tests.helm.tools import HADOLINT


@HADOLINT.needed
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert HADOLINT.run("--failure-threshold", "style", HELM_FOLDER.parent / "Dockerfile") == ""
