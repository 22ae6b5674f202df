"""A configuration examined in a process of its own, so that the daemon need not hold what that takes.

The library that checks, a class for each section and the parser of YAML are 12 MB of memory, wanted at the start and
at each reload for some milliseconds. The other process examines, and hands over plain values (`snapshot`); at the start
it does so while this one loads the daemon.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self

from shipper.config.examined import Examined
from shipper.errors import Problem

# With the very modules that this process has. `-P`: what lies where the daemon was started is none of them.
_PROGRAM: Final = """\
import sys
sys.path[:] = sys.argv.pop(1).split("\\n")
from shipper.config.answering import main
main()
"""


class Examination:
    """One that is under way. A context manager: it does not outlive the block."""

    def __init__(
        self, file: str | os.PathLike[str], environ: Mapping[str, str], also: Iterable[Path] = ()
    ) -> None:
        """Begin it. What the files in `also` hold is looked at as well."""
        self._file = Path(file)
        self._environ = environ
        self._also = frozenset(also)
        self._process = self._begun()

    def _begun(self) -> subprocess.Popen[bytes] | None:
        command = [sys.executable, "-P", "-c", _PROGRAM, "\n".join(sys.path)]
        try:
            # Inherited files stay open: the configuration may be one of them (`--config <(...)`, /dev/stdin). A session
            # of its own: Ctrl+C in a terminal is for the daemon alone.
            return subprocess.Popen(  # noqa: S603 - Python itself
                [*command, str(self._file), *map(str, self._also)],
                stdout=subprocess.PIPE,
                env=self._environ,
                close_fds=False,
                start_new_session=True,
            )
        except (OSError, ValueError):  # no process more is allowed, or the path has a NUL
            return None

    def result(self) -> Examined:
        """Wait for it. Never raises: what went wrong is a problem."""
        if self._process is None:
            from shipper.config.answering import answered

            return _unpacked(answered(self._file, self._environ, self._also))
        answer, _ = self._process.communicate()
        if self._process.returncode == 0:
            return _unpacked(answer)
        message = f"was not examined: the process that does it ended with status {self._process.returncode}"
        return Examined(None, [Problem(str(self._file), 0, 0, "", message)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with self._process:  # which waits for it
                self._process.kill()


def _unpacked(answer: bytes) -> Examined:
    examined: Examined = pickle.loads(answer)  # noqa: S301 - what our own code has packed
    return examined


def examine(file: str | os.PathLike[str], environ: Mapping[str, str], also: Iterable[Path] = ()) -> Examined:
    """The whole of it. Waits; never raises."""
    with Examination(file, environ, also) as examination:
        return examination.result()
