"""The many ways to say how bad something is, as one of six levels."""

from __future__ import annotations

import re
from typing import Any, Final

from shipper.entry import Level

_SPELLINGS: Final = {
    Level.TRACE: "trace trc trce t tracing verbose vrb v finest finer silly spam",
    Level.DEBUG: "debug dbg dbug deb d fine config debugging",
    Level.INFO: "info inf i information informational informative notice note n success ok log",
    Level.WARN: "warn wrn w warning warnings",
    Level.ERROR: "error err eror e severe fail failed failure erro",
    Level.FATAL: "fatal ftl f critical crit crt c panic dpanic alert a emerg emergency p",
}
_LEVELS: Final = {word: level for level, words in _SPELLINGS.items() for word in words.split()}
_READY: Final = {
    form: level for word, level in _LEVELS.items() for form in (word, word.upper(), word.capitalize())
}
_MAX_WORD: Final = 16

# Syslog's severities, which journald, GELF and many others use: https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1
_SYSLOG: Final = (
    *(Level.FATAL,) * 3,
    Level.ERROR,
    Level.WARN,
    Level.INFO,
    Level.INFO,
    Level.DEBUG,
)
# Pino's and bunyan's tens: https://getpino.io/#/docs/api?id=logger-level
_TENS: Final = (None, Level.TRACE, Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR, Level.FATAL)
# OpenTelemetry's fours: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
_FOURS: Final = tuple(Level)


def level_of_value(value: Any) -> Level | None:
    """The level that a field's value names; None for a value that names none.

    Numbers are those of syslog (0 to 7) and of pino and bunyan (10 to 69). Larger ones are left alone: a `status` is
    mostly HTTP's.
    """
    if type(value) is str:
        return _READY.get(value) or _level_of_text(value)
    if type(value) is int or (type(value) is float and value.is_integer()):
        return _level_of_number(int(value))
    return None


def level_of_python(value: Any) -> Level | None:
    """The level of Python's numbers: https://docs.python.org/3/library/logging.html#logging-levels."""
    if type(value) is not int or not 0 < value <= 60:
        return None
    return _TENS[min(value // 10 + 1, len(_TENS) - 1)]


def level_of_otel(value: Any) -> Level | None:
    """The level of OpenTelemetry's severity numbers, 1 to 24."""
    if type(value) is not int or not 1 <= value <= 24:
        return None
    return _FOURS[(value - 1) // 4]


def _level_of_text(text: str) -> Level | None:
    if len(text) > _MAX_WORD:
        return None
    word = text.strip().lower()
    return _level_of_number(int(word)) if word.isascii() and word.isdecimal() else _LEVELS.get(word)


def _level_of_number(number: int) -> Level | None:
    if 0 <= number <= 7:
        return _SYSLOG[number]
    return _TENS[number // 10] if 10 <= number < 70 else None


# ---- plain text ----

_HEAD: Final = 160  # characters at the beginning of a line in which a logger says its level
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_CAPITALS: Final = (
    "TRACE|DEBUG|INFORMATION|INFO|NOTICE|WARNING|WARN|ERROR|ERR|SEVERE|CRITICAL|CRIT|FATAL|DPANIC|PANIC|ALERT"
    "|EMERGENCY|EMERG|TRC|DBG|INF|WRN|FTL|FINEST|FINER|FINE|CONFIG|VERBOSE|LOG"
)
_SMALL: Final = (
    "trace|debug|information|info|notice|warning|warn|error|err|severe|critical|crit|fatal|panic|alert|emergency|emerg"
    "|trce|dbug|fail|verbose"
)
_LARGE_FIRST: Final = "|".join(word.capitalize() for word in _SMALL.split("|"))
_FIRST: Final = re.compile(
    rf"""
      [\[(<|]? (?: (?:{_SMALL}|{_LARGE_FIRST}) (?=[\])>|:] | \s+[-|] ) | (?:{_CAPITALS}) (?![\w=.]) )
    | [IWEFD] (?=\d{{4}}[ ]\d\d:\d\d:\d\d)        # klog and glog: W1124 10:00:00.123456
    | [VDIWEF] (?=/[\w.$-]{{1,80}}\s*[(:])           # logcat: W/ActivityManager( 1702):
    """,
    re.VERBOSE,
)
_PRIORITY: Final = re.compile(r"<(\d{1,3})>")
_KEYED: Final = re.compile(
    r"""(?:[Ll]evel|LEVEL|lvl|[Ss]everity|SEVERITY)["']?\s{0,2}[=:]\s{0,2}["']?([A-Za-z]+|\d{1,2}\b)"""
)
# The engine skips at the pace of a search for single characters to where a match could begin; therefore what stands
# before a word is looked at afterwards.
_LATER: Final = re.compile(rf"(?:{_CAPITALS})(?![\w=])")
_BRACKETED: Final = re.compile(rf"[\[(<|](?:[\w-]{{1,40}}:)?({_SMALL}|{_LARGE_FIRST}|[TDIWEF])[\])>|]")
_AFTER_NAME: Final = re.compile(rf": ({_SMALL}|{_LARGE_FIRST}):")
_LOGCAT: Final = re.compile(r" (?<=\d )([VDIWEF]) (?=\S)")
_ZONES: Final = frozenset(("UTC", "GMT", "AM", "PM", "Z"))


def level_in_text(text: str) -> Level | None:
    """The level that a line of plain text begins with, in any of the usual shapes."""
    head = text[:_HEAD]
    if "\x1b" in head:
        head = _COLOUR.sub("", head)
    if not head[:1].isdigit() and (first := _FIRST.match(head)):  # most lines begin with a time
        return _LEVELS[first[0].lstrip("[(<|").lower()]
    if "=" in head and (keyed := _keyed(head)):
        return level_of_value(keyed)
    for found in _LATER.finditer(head):
        if _follows_well(head, found.start()):
            return _LEVELS[found[0].lower()]
    if keyed := _keyed(head):
        return level_of_value(keyed)
    marked = _BRACKETED.search(head) or _AFTER_NAME.search(head) or _LOGCAT.search(head)
    if marked:
        return _LEVELS[marked[1].lower()]
    priority = _PRIORITY.match(head)
    return _SYSLOG[int(priority[1]) & 7] if priority else None


def _keyed(head: str) -> str | None:
    """What stands behind a name such as `level=`."""
    if "evel" not in head and "everity" not in head and "lvl" not in head:
        return None
    found = _KEYED.search(head)
    return found[1] if found else None


def _follows_well(head: str, at: int) -> bool:
    """Whether a level may stand here: after a bracket, a time, a number, a dash, and not after a word."""
    if at == 0 or head[at - 1] in "[(<|:.-":
        return True
    before = head[:at].rstrip()
    if len(before) == at or not before:
        return not before
    if before[-1] in "])>|:-#*0123456789":
        return True
    word = before[max(before.rfind(" "), before.rfind("\t")) + 1 :]
    return word in _ZONES or any(map(str.isdigit, word))
