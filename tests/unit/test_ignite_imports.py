"""What the daemon loads to speak to the platform."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import shipper

ROOT = Path(shipper.__file__).parent


def test_speaking_to_the_platform_does_not_load_grpcio() -> None:
    code = "import sys, shipper.ignite.connect, shipper.ignite.grpc; print('grpc' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT.parent
    )
    assert run.stdout.strip() == "False"


def test_only_ignite_knows_http2_and_the_stubs() -> None:
    """The emulator serves with the stubs, and with grpcio."""
    rooms = {"hpack": {"ignite"}, "shipper.ignite.pb": {"ignite", "emulator"}, "grpc": {"emulator"}}
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).parts[0]
        for name in imported(file):
            for package, allowed in rooms.items():
                if name == package or name.startswith(f"{package}."):
                    assert room in allowed, f"{file} imports {name}"


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
