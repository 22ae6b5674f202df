"""The programs that tests of the chart run. Environment variables name them; `.ci/run` installs them and sets these.

A test whose program is not named is skipped, and says which variable is missing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, or a folder of a Node module, that a variable names."""

    variable: str
    what: str
    brought_by: str = ".ci/run"

    @property
    def path(self) -> str:
        return os.environ.get(self.variable, "")

    @property
    def needed(self) -> pytest.MarkDecorator:
        """For tests that cannot do without it."""
        return pytest.mark.skipif(
            not self.path, reason=f"{self.variable} names no {self.what}; {self.brought_by} does"
        )

    def run(
        self, *arguments: str | Path, text: str = "", folder: Path | None = None, quietly: bool = False
    ) -> str:
        """What the program prints. AssertionError with everything it says where it fails, unless `quietly`."""
        command: Sequence[str] = [self.path, *map(str, arguments)]
        done = subprocess.run(
            command, input=text, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert quietly or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr if quietly else done.stdout


HELM: Final = Tool("SHIPPER_TEST_HELM", "helm")
HELM_3: Final = Tool("SHIPPER_TEST_HELM_3", "helm of version 3")
KUBECTL: Final = Tool("SHIPPER_TEST_KUBECTL", "kubectl")
KUBERNETES_VALIDATE: Final = Tool("SHIPPER_TEST_KUBERNETES_VALIDATE", "kubernetes-validate")
PROMETHEUS_MODELS: Final = Tool(
    "SHIPPER_TEST_PROMETHEUS_MODELS", "folder with @kubernetes-models/prometheus-operator"
)
PROMTOOL: Final = Tool("SHIPPER_TEST_PROMTOOL", "promtool")
PROMETHEUS: Final = Tool("SHIPPER_TEST_PROMETHEUS", "prometheus")
HADOLINT: Final = Tool("SHIPPER_TEST_HADOLINT", "hadolint")
APISERVER: Final = Tool(
    "SHIPPER_TEST_APISERVER", "folder with kube-apiserver and etcd", "SHIPPER_CI_APISERVER=1 .ci/run"
)
