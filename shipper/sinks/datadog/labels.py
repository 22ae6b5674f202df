"""What the logs of one replica and stream have in common at Datadog: source, service, host and tags.

It is rendered once, as the opening of their JSON objects: a log line is written as often as its replica prints, its
labels change never.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from shipper.entry import Entry
from shipper.model import Kind, Partition

OWN_SOURCE: Final = "shipper"
"""The `ddsource` of what shipper says itself: gaps."""

_KEPT: Final = (
    4096  # openings in memory, some 300 bytes each; who has more running replicas renders now and then
)
_PLACE: Final = re.compile(r"\{([a-z]+)\}")
_UNSAFE: Final = re.compile(r"[\x00-\x20,\x7f]+")  # a comma ends a tag
_LONGEST_NAME: Final = 255  # of a host, as Datadog's agent has it; no name of the platform may fill a log
_LONGEST_TAG: Final = 200  # https://docs.datadoghq.com/getting_started/tagging/#define-tags


class Identity(NamedTuple):
    """Whose record it is; what is not known is empty. `more` are the tags that its kind has besides."""

    kind: Kind
    organization: str = ""
    app: str = ""
    replica: str = ""
    cluster: str = ""
    node: str = ""
    stream: str = ""
    more: tuple[tuple[str, str], ...] = ()


class Labels:
    """Renders labels by what the configuration says. May be called from several threads."""

    def __init__(self, *, source: str, service: str, hostname: str, tags: tuple[str, ...]) -> None:
        self._source: Final = source
        self._service: Final = service
        self._hostname: Final = hostname
        self._tags: Final = tags
        self._openings: Final[dict[tuple[Kind, str, str], dict[object, bytes]]] = {}
        self._kept = 0

    def openings(self, partition: Partition) -> dict[object, bytes]:
        """The openings that were kept of a partition's app, by the keys that `keep` was given."""
        return self._openings.setdefault((partition.kind, partition.organization, partition.app), {})

    def keep(self, partition: Partition, key: object, entry: Entry) -> bytes:
        """Render an entry's labels: their JSON object without its closing brace. All others may be forgotten for it."""
        if self._kept >= _KEPT:
            self._openings.clear()
            self._kept = 0
        self._kept += 1
        opening = self.openings(partition)[key] = dumped(self.of(identity_of(entry)))[:-1]
        return opening

    def of(self, identity: Identity) -> dict[str, str]:
        """An identity's labels; what would be empty is left out."""
        names = identity._asdict()
        labels = {
            "ddsource": OWN_SOURCE if identity.kind is Kind.GAPS else rendered(self._source, names),
            "service": rendered(self._service, names),
            "hostname": self.hostname(identity),
            "ddtags": ",".join(self.tags(identity)),
        }
        return {name: value for name, value in labels.items() if value}

    def tags(self, identity: Identity) -> list[str]:
        """An identity's tags and the configuration's own."""
        return [tag(name, value) for name, value in _named(identity) if value] + list(self._tags)

    def hostname(self, identity: Identity) -> str:
        """The host that an identity's records are filed under, empty where it is not known."""
        return rendered(self._hostname, identity._asdict())


def identity_of(entry: Entry) -> Identity:
    """Whose record it is."""
    get = entry.record.get
    return Identity(
        entry.kind,
        _text(get("organization")),
        _text(get("app")),
        _text(get("replica_id")),
        _text(get("cluster_id")),
        _text(get("node_name")),
        _text(get("stream")),
        () if entry.kind is Kind.LOGS else tuple(_more(entry.kind, entry.record)),
    )


def tag(name: str, value: str) -> str:
    """One tag. Datadog itself lower-cases it and puts `_` for what it does not know."""
    return f"{name}:{_UNSAFE.sub('_', value)}"[:_LONGEST_TAG]


def rendered(template: str, names: Mapping[str, Any]) -> str:
    """A template such as `{app}-{stream}` with the names filled in; a name that is not known is empty."""
    if "{" not in template:
        return template
    return _PLACE.sub(lambda place: _text(names.get(place[1])), template).strip()[:_LONGEST_NAME]


def dumped(value: Mapping[str, Any]) -> bytes:
    """JSON. A lone surrogate, which no JSON may hold, is shown as `?`."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(
            {name: showable(each) if isinstance(each, str) else each for name, each in value.items()}
        )


def showable(text: str) -> str:
    """The text without lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _named(identity: Identity) -> Iterator[tuple[str, str]]:
    yield "organization", identity.organization
    yield "app", identity.app
    yield "replica", identity.replica
    yield "cluster", identity.cluster
    yield "stream", identity.stream
    if identity.kind is not Kind.LOGS:
        yield "kind", identity.kind.value
        yield from identity.more


def _more(kind: Kind, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The tags that events, builds and gaps have besides: what one filters and groups them by."""
    names: Mapping[Kind, Mapping[str, str]] = {
        Kind.EVENTS: {"event": "kind", "event_reason": "reason", "severity": "severity"},
        Kind.BUILDS: {"build": "build_id", "deploy": "deploy_id", "build_source": "source"},
        Kind.GAPS: {"reason": "reason", "stream_kind": "stream_kind"},
    }
    for name, key in names.get(kind, {}).items():
        yield name, _text(record.get(key))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
