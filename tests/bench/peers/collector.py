"""The OpenTelemetry Collector: built by its own builder from the Go registry, and run beside shipper."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.processes import ROOT, wait_until

VERSION: Final = "0.145.0"  # builder.yaml names it too
_BUILDER: Final = f"go.opentelemetry.io/collector/cmd/builder@v{VERSION}"
_HERE: Final = Path(__file__).parent
_CACHE: Final = ROOT / ".ci" / "cache" / f"otelcol-{VERSION}"


def built() -> Path:
    """The program. It is made first if it is not there, which takes Go and some minutes."""
    program = _CACHE / "otelcol"
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise RuntimeError("the collector is built with Go, which is not installed")
    _CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "install", _BUILDER], env={**os.environ, "GOBIN": str(_CACHE)}, check=True)
    subprocess.run([_CACHE / "builder", "--config", _HERE / "builder.yaml"], cwd=_CACHE, check=True)
    (_CACHE / "source" / "otelcol").rename(program)
    shutil.rmtree(_CACHE / "source")
    (_CACHE / "builder").unlink()
    return program


@contextmanager
def collecting(config: str, directory: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The collector with a configuration of this folder and `settings` for its `${env:...}`, once it is ready."""
    log = directory / "collector.log"
    credentials = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [built(), "--config", str(_HERE / config)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **credentials, "AWS_EC2_METADATA_DISABLED": "true", **settings},
        )
    try:
        wait_until(
            lambda: process.poll() is not None or b"Everything is ready" in log.read_bytes(), "starting"
        )
        if process.poll() is not None:
            raise RuntimeError(f"the collector ended: {log.read_text(errors='replace')[-3000:]}")
        yield process
    finally:
        process.kill()
        process.wait()
