"""Every fuzz target by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.fuzz import (
    answers,
    archive,
    configuration,
    control,
    descriptors,
    gateway_bytes,
    http1,
    http2,
    streams,
)
from tests.fuzz.target import Target

_MODULES: Final = (
    streams,
    gateway_bytes,
    http2,
    http1,
    descriptors,
    answers,
    archive,
    control,
    configuration,
)
CATALOGUE: Final[Mapping[str, Target]] = {
    target.name: target for module in _MODULES for target in module.TARGETS
}
