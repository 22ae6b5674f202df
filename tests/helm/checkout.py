"""The example chart that has shipper as its sidecar, rendered as its users do: dependencies first."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helm.chart import HELM_FOLDER, NEWEST
from tests.helm.tools import HELM


def rendered_checkout(
    logs: str, *, values: Mapping[str, Any] | None = None, kube: str = NEWEST, quietly: bool = False
) -> str:
    """The manifests of the example; with `quietly` also what Helm says where it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("shipper", "examples/checkout"):
            shutil.copytree(HELM_FOLDER / part, Path(folder) / part)
        chart = Path(folder) / "examples" / "checkout"
        HELM.run("dependency", "update", chart)
        over = ["--set-json", json.dumps({"logs": logs, **(values or {})})]
        return HELM.run(
            "template",
            "checkout",
            chart,
            "--namespace",
            "shop",
            "--kube-version",
            kube,
            *over,
            quietly=quietly,
        )
