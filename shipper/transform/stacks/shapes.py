"""Lines as every kind of runtime prints them: what begins a record of its own, what is empty."""

from __future__ import annotations

import re
from typing import Final

from shipper.transform.stacks.port import Verdict

# What loggers put in front of a line: a date, a time, a level, a JSON object, a key with a value.
_OWN_RECORD: Final = re.compile(
    r"""
      [\[(<]? \d{2,4} [-/.:] \d{2} [-/.:] \d{2}                       # 2026-11-24, 24/11/26, [10:00:00
    | [\[(<]? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun),? [ ]
    | [\[(<|]? (?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL|PANIC) \b
    | (?:trace|debug|info|warn|warning|error|fatal|dbug|trce|fail|crit) (?: : [ ] | \] )
    | [IWEFD] \d{4} [ ]                                              # klog
    | [{<]                                                           # JSON, XML, syslog
    | (?:time|ts|level|lvl|msg|at|date|timestamp) =
    """,
    re.VERBOSE,
)

MAYBE_LINES: Final = 32  # lines in a row that only might be a part: messages are rarely longer


def begins_record(line: str) -> bool:
    """Whether a line begins with what a logger puts in front of each of its own lines."""
    return _OWN_RECORD.match(line) is not None


def message_line(line: str, phase: str) -> tuple[Verdict, str]:
    """A line where a message may go on: anything but the next record of a logger."""
    return (Verdict.END, "") if begins_record(line) else (Verdict.MAYBE, phase)
