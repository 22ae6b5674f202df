"""What a refusal of Sentry means beyond the table of all HTTP sinks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_KEY: Final = (
    "check the DSN: its key may be wrong or disabled, its project gone (Project Settings, Client Keys)"
)
ADVICE: Final[Mapping[int, str]] = {
    401: _KEY,
    403: _KEY,
    404: "the host in the DSN takes no envelopes: check the DSN; Sentry itself takes them from version 20.6 on",
}
