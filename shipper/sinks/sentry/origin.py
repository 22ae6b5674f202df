"""Whose record it is, in the words that logs and issues share: tags, release, trace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from shipper.entry import Entry
from shipper.model import App
from shipper.sinks.sentry.options import SentryOptions

_LONGEST_TAG: Final = 200  # https://docs.sentry.io/platform-redirect/?next=/enriching-events/tags/
_HEX: Final = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Empty where the platform does not say."""

    app: App
    replica: str = ""
    node: str = ""
    cluster: str = ""


def origin_of(entry: Entry) -> Origin:
    """Whose record it is."""
    names = ("organization", "app", "replica_id", "node_name", "cluster_id")
    organization, app, replica, node, cluster = (str(entry.record.get(name) or "") for name in names)
    return Origin(App(organization, app), replica, node, cluster)


def tags_of(origin: Origin, options: SentryOptions) -> dict[str, str]:
    """The tags of what an origin sends: what is not known is left out, what is too long cut."""
    own = {
        "organization": origin.app.organization,
        "app": origin.app.name,
        "replica": origin.replica,
        "node": origin.node,
        "cluster": origin.cluster,
    }
    return {**options.tags, **{name: value[:_LONGEST_TAG] for name, value in own.items() if value}}


def release_of(origin: Origin, options: SentryOptions) -> str | None:
    """The release of what an origin sends; characters that Sentry does not take in one become `-`."""
    if options.release is None:
        return None
    filled = options.release
    names = {
        "organization": origin.app.organization,
        "app": origin.app.name,
        "cluster": origin.cluster,
    }
    for name, value in names.items():
        filled = filled.replace("{" + name + "}", value)
    return re.sub(r"[\s/\\]", "-", filled)[:200]


def trace_id_of(entry: Entry) -> str | None:
    """The app's own trace, where it is one."""
    return hex_id(entry.trace_id, 32)


def span_id_of(entry: Entry) -> str | None:
    """The app's own span, where it is one."""
    return hex_id(entry.span_id, 16)


def hex_id(text: str | None, digits: int) -> str | None:
    """An id in so many hex digits: shorter ones (of 64 bits) are filled up, dashes left out; None if it is none."""
    if not text:
        return None
    plain = text.replace("-", "").casefold()
    if len(plain) not in (16, digits) or not _HEX.fullmatch(plain) or not plain.strip("0"):
        return None
    return plain.rjust(digits, "0") if len(plain) <= digits else None


def trace_of(origin: Origin) -> str:
    """The trace of a replica's lines that name none, as Sentry drops a log without one.

    Records do not say when their replica (re)started, so a replica is one trace for as long as it lives.
    """
    digest = blake2b(digest_size=16, person=b"shipper.replica")
    for part in (origin.app.organization, origin.app.name, origin.replica):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()
