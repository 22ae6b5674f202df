"""Which platform events are failures."""

from __future__ import annotations

import pytest

from shipper.sinks.sentry.event_kinds import ABOUT, EventFailure, failure_of

OOM, LOOP, IMAGE = EventFailure.OOM_KILLED, EventFailure.CRASH_LOOP, EventFailure.IMAGE_PULL
PROBE, EVICTED = EventFailure.PROBE_FAILED, EventFailure.EVICTED


@pytest.mark.parametrize(
    ("kind", "reason", "message", "failure"),
    [
        ("OOM_KILLED", "OOMKilling", "Memory cgroup out of memory: Killed process 1", OOM),
        ("OOM_KILLED", "", "", OOM),
        (None, "OOMKilled", "", OOM),
        ("CRASHED", "BackOff", "Back-off restarting failed container (exit 1)", LOOP),
        (None, "CrashLoopBackOff", "", LOOP),
        ("CRASH_LOOP", "", "", LOOP),
        (None, "BackOff", 'Back-off pulling image "registry.example.com/checkout:latest"', IMAGE),
        (None, "Failed", 'Failed to pull image "x": rpc error: code = NotFound', IMAGE),
        (None, "Failed", "Error: ErrImagePull", None),
        (None, "ErrImagePull", "", IMAGE),
        (None, "ImagePullBackOff", "", IMAGE),
        ("IMAGE_PULL_FAILED", "", "", IMAGE),
        (None, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", PROBE),
        ("PROBE_FAILED", "", "", PROBE),
        (None, "Evicted", "The node was low on resource: memory", EVICTED),
        (None, "Failed", "Error: failed to create containerd task", None),
        ("IMAGE_PULLED", "Pulled", "Successfully pulled image", None),
        ("SCHEDULED", "Scheduled", "", None),
        ("KILLING", "Killing", "Stopping container app", None),
        ("SLEEP", "ScaledToZero", "", None),
        (7, "", "", None),
        (None, "", "", None),
    ],
)
def test_a_failure_is_known_by_its_reason_or_its_kind(
    kind: str | int | None, reason: str, message: str, failure: EventFailure | None
) -> None:
    record = {"kind": kind, "reason": reason, "message": message}
    assert failure_of({name: value for name, value in record.items() if value not in (None, "")}) is failure


def test_every_failure_has_a_title_and_a_level() -> None:
    assert set(ABOUT) == set(EventFailure)
