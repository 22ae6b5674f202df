"""Trace and span ids in Datadog's form: unsigned 64-bit numbers, written in decimal.

Logs and traces meet under `dd.trace_id` and `dd.span_id`. OpenTelemetry and W3C write ids in hexadecimal, of which
Datadog takes the lower 64 bits (https://docs.datadoghq.com/tracing/other_telemetry/connect_logs_and_traces/opentelemetry/,
https://www.w3.org/TR/trace-context/#trace-id).
"""

from __future__ import annotations

import re
from typing import Final

_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]+")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}")
_LOWER_HALF: Final = 16  # hexadecimal digits of 64 bits


def datadog_id(text: str) -> str | None:
    """The id in decimal, None for what is no id (all zero, too long, a name).

    Sixteen and thirty-two digits are hexadecimal, dashes as in a UUID aside; other numbers are Datadog's own already.
    A decimal id of exactly sixteen digits is read wrongly: one in two thousand that Datadog's libraries make.
    """
    digits = text.replace("-", "")
    if len(digits) in (_LOWER_HALF, 2 * _LOWER_HALF) and _HEXADECIMAL.fullmatch(digits):
        number = int(digits[-_LOWER_HALF:], 16)
    elif _DECIMAL.fullmatch(text):
        number = int(text)
    else:
        return None
    return str(number) if 0 < number < 1 << 64 else None
