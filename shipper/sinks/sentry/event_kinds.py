"""Which platform events are failures that somebody should hear of, by the event's kind and Kubernetes' reasons.

Of the kinds only OOM_KILLED is documented (proto/ignite_compute.proto), so a kind is recognised by the words in it. The
reasons are the kubelet's: https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/events/event.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shipper.entry import Level


class EventFailure(StrEnum):
    """The failures, by the names that the configuration has for them."""

    OOM_KILLED = "oom_killed"
    CRASH_LOOP = "crash_loop"
    IMAGE_PULL = "image_pull"
    PROBE_FAILED = "probe_failed"
    EVICTED = "evicted"


@dataclass(frozen=True, slots=True)
class About:
    """How a failure is called and how bad it is."""

    title: str
    level: Level


ABOUT: Final[Mapping[EventFailure, About]] = {
    EventFailure.OOM_KILLED: About("OOM killed", Level.FATAL),
    EventFailure.CRASH_LOOP: About("Crash loop", Level.ERROR),
    EventFailure.IMAGE_PULL: About("Image pull failed", Level.ERROR),
    EventFailure.PROBE_FAILED: About("Probe failed", Level.WARN),
    EventFailure.EVICTED: About("Evicted", Level.WARN),
}

_REASONS: Final[Mapping[str, EventFailure]] = {
    "oomkilling": EventFailure.OOM_KILLED,
    "oomkilled": EventFailure.OOM_KILLED,
    "systemoom": EventFailure.OOM_KILLED,
    "crashloopbackoff": EventFailure.CRASH_LOOP,
    "errimagepull": EventFailure.IMAGE_PULL,
    "errimageneverpull": EventFailure.IMAGE_PULL,
    "imagepullbackoff": EventFailure.IMAGE_PULL,
    "imageinspecterror": EventFailure.IMAGE_PULL,
    "inspectfailed": EventFailure.IMAGE_PULL,
    "invalidimagename": EventFailure.IMAGE_PULL,
    "registryunavailable": EventFailure.IMAGE_PULL,
    "unhealthy": EventFailure.PROBE_FAILED,
    "probeerror": EventFailure.PROBE_FAILED,
    "probewarning": EventFailure.PROBE_FAILED,
    "evicted": EventFailure.EVICTED,
}
# These two reasons mean one thing or another; the message tells which.
_OF_IMAGES: Final = re.compile(r"pull(ing)?\b.*\bimage\b|\bimage\b.*\bpull", re.IGNORECASE)
_UNCLEAR: Final = {"backoff": EventFailure.CRASH_LOOP, "failed": None}
_KINDS: Final[tuple[tuple[re.Pattern[str], EventFailure], ...]] = (
    (re.compile(r"OOM"), EventFailure.OOM_KILLED),
    (re.compile(r"CRASH"), EventFailure.CRASH_LOOP),
    (re.compile(r"IMAGE.*(FAIL|ERR|BACK_?OFF)|(FAIL|ERR).*IMAGE"), EventFailure.IMAGE_PULL),
    (re.compile(r"PROBE.*(FAIL|ERR)|UNHEALTHY"), EventFailure.PROBE_FAILED),
    (re.compile(r"EVICT"), EventFailure.EVICTED),
)


def failure_of(event: Mapping[str, Any]) -> EventFailure | None:
    """The failure that a record of kind events tells of, if it does. The reason is more exact than the kind."""
    reason = str(event.get("reason") or "").casefold()
    if reason in _REASONS:
        return _REASONS[reason]
    if reason in _UNCLEAR:
        of_image = _OF_IMAGES.search(str(event.get("message") or ""))
        found = EventFailure.IMAGE_PULL if of_image else _UNCLEAR[reason]
        if found is not None:
            return found
    kind = str(event.get("kind") or "").upper()
    return next((failure for pattern, failure in _KINDS if pattern.search(kind)), None)
