"""Daemons without the second that Python needs to import one: a process that has imported everything, and forks.

`python -m tests.chaos.nursery` reads a line for each daemon, the paths of its configuration and of its log, and says
`pid N` and, when it has ended, `ended STATUS`. One at a time.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Until standard input ends."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as a daemon does, but from its first moment on
    _import()
    print("ready", flush=True)
    for line in sys.stdin:
        configuration, log = line.split()
        child = os.fork()
        if not child:
            os._exit(_daemon(configuration, log))
        print(f"pid {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


def _import() -> None:
    """What a daemon uses. Nothing may be started here: no loop, no thread, no channel."""
    import shipper.cli
    import shipper.daemon
    import shipper.sinks.directory.sink  # noqa: F401


def _daemon(configuration: str, log: str) -> int:
    from shipper.cli import main as shipper

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        return shipper(["run", "--config", configuration])
    except SystemExit as ended:
        return int(ended.code or 0)


if __name__ == "__main__":
    main()
