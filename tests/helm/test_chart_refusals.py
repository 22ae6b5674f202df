"""What cannot work is refused when it is rendered, with a message that says what to set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import NOTHING_SET, refused, rendered
from tests.helm.tools import HELM

pytestmark = HELM.needed


def least(**settings: Any) -> dict[str, Any]:
    """The least that has to be set, with some of it changed or, where it is None, left out."""
    sinks = settings.pop("sinks", {"archive": {"type": "s3", "bucket": "acme-logs"}})
    ignite = {"organization": "acme", "auth": {"type": "none"}} | settings
    return {
        "image": {"repository": "registry.example.com/shipper"},
        "config": {
            "ignite": {key: value for key, value in ignite.items() if value is not None},
            "sinks": sinks,
        },
    }


# The case that is changed, the change, and what the message must say.
REFUSALS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "two daemons": ("default", {"replicas": 2}, ("replicas is 2", "set replicas: 1")),
    "HPA": ("default", {"autoscaling": {"hpa": {"enabled": True}}}, ("autoscaling.vpa.enabled",)),
    "HPA and external scaling": (
        "default",
        {"autoscaling": {"hpa": {"enabled": True}, "external": True}},
        ("only one may set", "autoscaling.hpa.enabled: false"),
    ),
    "no volume and no limit": (
        "default",
        {"persistence": {"enabled": False}},
        ("buffer.emptyDirSizeLimit", "persistence.enabled: true"),
    ),
    "a Deployment without a limit": (
        "deployment",
        {"buffer": {"emptyDirSizeLimit": ""}},
        ("mode deployment", "buffer.emptyDirSizeLimit"),
    ),
    "a grace period shorter than the drain": (
        "default",
        {"config": {"shutdown": {"timeout": "2m"}}},
        ("terminationGracePeriodSeconds is 120", "drain for 120 s", "set at least 135"),
    ),
    "a buffer larger than its volume": (
        "default",
        {"config": {"buffer": {"max_size": "11GiB"}}},
        ("config.buffer.max_size is 11GiB", "volume of 12Gi", "at least 12.3Gi", "11059MiB or less"),
    ),
    "a buffer larger than its emptyDir": (
        "emptydir",
        {"config": {"buffer": {"max_size": "4GiB"}}},
        ("config.buffer.max_size is 4GiB", "volume of 4Gi"),
    ),
    "a claim of unknown size": (
        "default",
        {"persistence": {"existingClaim": "mine"}},
        ("persistence.existingClaim is set", "set config.buffer.max_size"),
    ),
    "an emptyDir that evicts its pod": (
        "deployment",
        {"resources": {"limits": {"ephemeral-storage": "4Gi"}}},
        ("resources.limits.ephemeral-storage is 4Gi", "evicted"),
    ),
    "batches larger than the memory": (
        "default",
        {"resources": {"limits": {"memory": "256Mi"}}},
        ("320Mi of memory", "resources.limits.memory (256Mi)", "set at least 534Mi", "batch.max_size"),
    ),
    "batches larger than a sidecar's memory": (
        "sidecar",
        {"config": {"sinks": {"archive": {"batch": {"max_size": "64MiB"}}}}},
        ("sidecar.resources.limits.memory (256Mi)",),
    ),
    "a directory on no volume": (
        "default",
        {"config": {"sinks": {"local": {"type": "directory", "path": "/archive"}}}},
        ("config.sinks.local.path is /archive", "extraVolumeMounts"),
    ),
    "a buffer where nothing can be mounted": (
        "default",
        {"config": {"buffer": {"path": "buffer"}}},
        ("config.buffer.path is buffer", "absolute path"),
    ),
    "no image": ("default", {"image": {"repository": ""}}, ("image.repository is not set",)),
    "no organization": (NOTHING_SET, least(organization=None), ("config.ignite.organization is not set",)),
    "no auth": (NOTHING_SET, least(auth=None), ("config.ignite.auth is not set",)),
    "no sink": (NOTHING_SET, least(sinks={}), ("config.sinks is empty",)),
    "two configurations": ("default", {"existingConfigMap": "mine"}, ("keep one of the two",)),
    "telemetry on loopback": (
        "default",
        {"config": {"telemetry": {"listen": "127.0.0.1:9464"}}},
        ("config.telemetry.listen is 127.0.0.1:9464", "set 0.0.0.0:9464"),
    ),
    "no telemetry": ("default", {"config": {"telemetry": {"listen": None}}}, ("set 0.0.0.0:9464",)),
    "a secret in plain text": (
        "default",
        {"config": {"ignite": {"auth": {"client_secret": "hunter2"}}}},
        ("config.ignite.auth.client_secret is a secret in plain text", "credentials.existingSecret"),
    ),
    "a sink's secret in plain text": (
        "default",
        {"config": {"sinks": {"archive": {"secret_access_key": "hunter2", "access_key_id": "${ID}"}}}},
        ("config.sinks.archive.secret_access_key", "${file:/var/run/secrets/shipper/secret_access_key}"),
    ),
    "a header that is a secret": (
        "default",
        {"config": {"ignite": {"headers": {"x-api-key": "hunter2"}}}},
        ("config.ignite.headers.x-api-key",),
    ),
    "a file that nothing mounts": (
        "default",
        {"credentials": {"existingSecret": ""}},
        ("${file:/var/run/secrets/shipper/client_id}", "set credentials.existingSecret"),
    ),
    "a Secret whose files are not mounted": (
        "default",
        {"credentials": {"asFiles": False}},
        ("credentials.asFiles: true",),
    ),
    "a variable that nothing sets": (
        "emptydir",
        {"config": {"ignite": {"organization": "${ORGANIZATION}"}}},
        ("config reads ${ORGANIZATION}", "extraEnv"),
    ),
    "two Secrets": (
        "default",
        {"credentials": {"insecureInline": {"A": "b"}}},
        ("keep the existing Secret",),
    ),
    "two monitors": (
        "pod-monitor",
        {"serviceMonitor": {"enabled": True}},
        ("podMonitor.enabled and serviceMonitor.enabled", "keep one"),
    ),
    "a sidecar's Service": (
        "sidecar",
        {"serviceMonitor": {"enabled": True}},
        ("mode sidecar has no Service",),
    ),
    "a sidecar's unknown pods": (
        "sidecar",
        {"podMonitor": {"matchLabels": None}},
        ("podMonitor.matchLabels is empty",),
    ),
    "thresholds that cannot be read": (
        "existing-configmap",
        {"prometheusRule": {"thresholds": {"deliverySlowSeconds": None}}},
        ("prometheusRule.thresholds.deliveryBehindSeconds",),
    ),
    "an alert that is none": (
        "service-monitor",
        {"prometheusRule": {"disabledAlerts": ["ShipperGone"]}},
        ("ShipperGone, which is no alert", "ShipperGap"),
    ),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_it_is_refused_and_the_message_says_what_to_set(reason: str) -> None:
    case, values, words = REFUSALS[reason]
    said = refused(case, values)
    assert said.count("\n  - ") == 1, said
    assert not [word for word in words if word not in said], said


def test_nothing_set_at_all_says_the_four_things_to_set() -> None:
    said = refused(NOTHING_SET, {})
    assert said.count("\n  - ") == 4, said


def test_everything_that_is_wrong_is_told_at_once() -> None:
    said = refused("default", {"replicas": 3, "image": {"repository": ""}, "persistence": {"enabled": False}})
    assert said.count("\n  - ") == 3, said


# What looks like the above and works.
ALLOWED: dict[str, tuple[str, dict[str, Any]]] = {
    "the least": (NOTHING_SET, least()),
    "no daemon at all": ("default", {"replicas": 0}),
    "a drain that just fits": ("default", {"config": {"shutdown": {"timeout": "105s"}}}),
    "a drain from the environment": (
        "default",
        {"config": {"shutdown": {"timeout": "${DRAIN:-30s}"}}},
    ),
    "a buffer that just fits": ("default", {"config": {"buffer": {"max_size": "11059MiB"}}}),
    "a buffer from the environment": ("default", {"config": {"buffer": {"max_size": "${SIZE:-1GiB}"}}}),
    "a variable with a default": ("emptydir", {"config": {"ignite": {"organization": "${X:-acme}"}}}),
    "a dollar that is no reference": ("emptydir", {"config": {"ignite": {"organization": "pa$${x}"}}}),
    "a variable of the container": (
        "emptydir",
        {"config": {"ignite": {"organization": "${X}"}}, "extraEnv": [{"name": "X", "value": "acme"}]},
    ),
    "a directory on the buffer's volume": (
        "default",
        {"config": {"sinks": {"local": {"type": "directory", "path": "/var/lib/shipper/archive"}}}},
    ),
    "sections that are null": (
        "service-monitor",
        {
            "config": dict.fromkeys(("apps", "collect", "buffer", "shutdown", "log"))
            | {"ignite": {"headers": None, "tls": None}, "sinks": {"archive": {"batch": None}}}
        },
    ),
    "no limit of memory": ("default", {"resources": {"limits": {"memory": None}}}),
    "a header that is none": ("default", {"config": {"ignite": {"headers": {"x-team": "logs"}}}}),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_works_is_not_refused(what: str) -> None:
    case, values = ALLOWED[what]
    rendered(case, values=values)
