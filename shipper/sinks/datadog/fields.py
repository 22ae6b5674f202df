"""The fields of a line that is a JSON object, as attributes of its log.

Datadog reads a log's time, status, host, service and message from the first of several attributes that it finds, and
some come before those that shipper sends: a line's own `@timestamp` or `host` would win, and a log whose time is
then too old vanishes. So fields of such names go below the attribute `fields`, where they can be searched all the
same. The names: https://docs.datadoghq.com/logs/log_configuration/pipelines/#preprocessing and, in order and with what
happens to JSON in a message, the page of the Integration Pipelines processor of Observability Pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

ASIDE: Final = "fields"
"""The attribute below which fields go whose names are taken."""

RESERVED: Final = frozenset(
    (
        *("@timestamp", "timestamp", "_timestamp", "Timestamp", "eventTime", "date", "published_date"),
        *("host", "hostname", "service", "source", "ddsource", "ddtags", "tags"),
        *("status", "severity", "level", "message", "msg", "log"),
        *(
            "syslog",
            "dd",
            "contextMap",
            "named_tags",
            "attributes",
        ),  # a name in them can be one of those above
        *(ASIDE, "shipper"),
    )
)

# Where loggers put a line's text, the likeliest first: Datadog's own names, then structlog, bunyan and ECS, GELF,
# Serilog's compact form.
_MESSAGES: Final = ("message", "msg", "log", "event", "text", "body", "short_message", "@m")


def add_fields(log: dict[str, Any], fields: Mapping[str, Any], line: str) -> None:
    """Put a line's fields into its log, and its text (or, where it has none, the line) under `message`.

    Nothing that the log has already is changed. Datadog parses a message that is JSON, so a line that stands for
    its own text leaves out what was put aside.
    """
    aside: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    text_key = next((key for key in _MESSAGES if isinstance(fields.get(key), str) and fields[key]), None)
    for key, value in fields.items():
        if key == text_key:
            continue
        if key.partition(".")[0] in RESERVED:  # Datadog opens `a.b` to a nested object
            aside[key] = value
        elif key not in log:
            rest[key] = value
        elif other := _added(log, key, value):
            aside[key] = other
    if text_key is not None:
        log["message"] = fields[text_key]
    else:
        log["message"] = _shown(rest, line) if aside else line
    log |= rest
    if aside:
        log[ASIDE] = aside


def _added(log: dict[str, Any], key: str, value: Any) -> Any:
    """Add what an attribute of objects does not say yet; what is left of the value, which the log says otherwise."""
    ours = log[key]
    if not isinstance(ours, dict) or not isinstance(value, dict):
        return None if ours == value else value
    log[key] = value | ours
    return {name: each for name, each in value.items() if name in ours and each != ours[name]}


def _shown(fields: Mapping[str, Any], line: str) -> str:
    try:
        return orjson.dumps(fields).decode()
    except TypeError:  # what no JSON can hold again leaves the whole log to the line
        return line
