"""The daemon: builds the parts from a configuration, runs them in one tree of tasks, drains.

    telemetry ⊃ delivery ⊃ intake ⊃ collection

Inner parts end first: when a signal says so, collection takes what its streams have brought and stops, intake
commits it, and delivery sends what it can within `shutdown.timeout`. What remains is safe in the buffer.
"""

from shipper.daemon.changes import Version
from shipper.daemon.parts import open_buffer
from shipper.daemon.running import run

__all__ = ["Version", "open_buffer", "run"]
