"""The systemd unit of the examples is a unit that systemd takes, and drains."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helm.chart import HELM_FOLDER

UNIT = HELM_FOLDER / "examples" / "shipper.service"

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")


def test_it_waits_for_the_drain_and_does_not_restart_a_wrong_configuration() -> None:
    text = UNIT.read_text()
    assert "TimeoutStopSec=45\n" in text
    assert "RestartPreventExitStatus=2\n" in text


@analyze
def test_systemd_knows_every_line_of_it(tmp_path: Path) -> None:
    copy = tmp_path / "shipper.service"
    copy.write_text(UNIT.read_text().replace("/opt/shipper/bin/shipper", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "shipper.service" in line]) == (
        0,
        [],
    )


@analyze
def test_systemd_finds_little_to_harden() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(UNIT)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for shipper\.service: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    assert float(exposure[1]) < 2.5
