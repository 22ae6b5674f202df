"""Keeps the daemon's memory, which holds tokens and keys, out of core files."""

from __future__ import annotations

import resource


def leave_none() -> None:
    """From now on this process leaves no core file of its own. A handler that the machine has for all crashes
    (core(5)) may take one all the same; systemd's respects the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
