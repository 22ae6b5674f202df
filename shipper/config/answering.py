"""The process that examines a configuration for the daemon: the file's name in, what it comes to out, on stdout."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from shipper.config.load import examine_as_held
from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.snapshot import Snapshot


class _Plain(pickle.Pickler):
    """Turns sections into snapshots. Secrets go to the process that asked, and are pickled nowhere else."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Section):
            return Snapshot, (type(value).__name__, dict(value), value.as_data())
        if isinstance(value, Secret):
            return Secret, (value.reveal(),)
        return NotImplemented


def answered(file: Path, environ: Mapping[str, str], also: Iterable[Path]) -> bytes:
    """What examining comes to, for the process that asked: an `Examined` whose sections are snapshots."""
    answer = BytesIO()
    _Plain(answer).dump(examine_as_held(file, environ, also))
    return answer.getvalue()


def main() -> None:
    """`FILE ALSO...`: examine the file, look at the others as well."""
    file, *also = map(Path, sys.argv[1:])
    answer = answered(file, os.environ, also)
    try:
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # nobody waits any more; neither must Python's own flush fail
        os._exit(1)
