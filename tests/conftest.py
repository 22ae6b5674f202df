"""What holds for every test, however the runner was started."""

from __future__ import annotations

import signal

# A shell that starts something in the background has it ignore Ctrl+C, and every process below inherits that: programs
# under test that are to be interrupted would go on for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
