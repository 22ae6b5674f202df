"""The `sentry` sink: which project, what becomes an issue there, and what happens when Sentry wants less."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from shipper.config.joining import JoinSettings
from shipper.config.removal import ON_REMOVE, OnRemove
from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.types import CountIn, DurationIn, FilePath, Matching, SizeIn, Text

_DSN: Final = re.compile(
    r"https?://[^:/?#@\s]+(?::[^:/?#@\s]*)?@(?:\[[0-9A-Fa-f:.]+\]|[^:/?#@\s\[\]]+)(?::[0-9]{1,5})?(?:/[^?#\s]*)?/[0-9]+/?"
)
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
TEMPLATE_NAMES: Final = ("organization", "app", "cluster")
OWN_TAGS: Final = frozenset(("organization", "app", "replica", "node", "cluster"))


def _check_dsn(dsn: Secret) -> Secret:
    if not _DSN.fullmatch(dsn.reveal()):
        raise ValueError(
            "is not a DSN; copy it from the project's settings in Sentry (Client Keys): "
            "https://<key>@<host>/<project number>"
        )
    return dsn


Dsn = Annotated[Secret, AfterValidator(_check_dsn)]


def _check_environment(environment: str) -> str:
    """Sentry's own rules: https://docs.sentry.io/concepts/key-terms/environments/."""
    if re.search(r"[\s/]", environment) or len(environment) > 64 or environment.casefold() == "none":
        raise ValueError("is no environment for Sentry: up to 64 characters, no spaces, no /, and not none")
    return environment


def _check_release(template: str) -> str:
    """Sentry's own rules: https://docs.sentry.io/product/releases/naming-releases/."""
    if re.search(r"[\t\n/\\]", template) or len(template) > 200 or template in (".", ".."):
        raise ValueError("is no release for Sentry: up to 200 characters, no / and no \\, and not . or ..")
    return _check_template(template)


def _check_template(template: str) -> str:
    names = _PLACEHOLDER.findall(template)
    unknown = [name for name in names if name not in TEMPLATE_NAMES]
    if unknown or re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        known = ", ".join("{" + name + "}" for name in TEMPLATE_NAMES)
        raise ValueError(f"has braces around something else than a name that is known here: {known}")
    return template


def _check_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in tags.items():
        if name in OWN_TAGS:
            raise ValueError(f"sets the tag {name}, which every record has of its own; choose another name")
        if not value or len(value) > 200:
            raise ValueError(
                "has a value that is empty or longer than 200 characters, which Sentry does not keep"
            )
    return tags


def _empty_is_none_yet(value: Any) -> Any:
    return {} if value is None else value


TagName = Annotated[
    str,
    Matching(r"[A-Za-z0-9_.:-]{1,32}", "is not a name for a tag: up to 32 letters, digits, _ . : or -"),
]


class SentryIssues(Section):
    """Which failures become issues."""

    events: tuple[Literal["oom_killed", "crash_loop", "image_pull", "probe_failed", "evicted"], ...] = Field(
        default=("oom_killed", "crash_loop", "image_pull", "probe_failed"),
        description=(
            "Platform events that become issues: `oom_killed`, `crash_loop`, `image_pull`, `probe_failed`, "
            "`evicted`; `[]` for none. By default all but the last: an eviction is the node's trouble more "
            "often than the app's."
        ),
    )
    tracebacks: bool = Field(
        default=True,
        description=(
            "Stack traces that are found in lines become issues. Default true. Those of a trace's lines "
            "that stand alone are found only with `join` enabled, which is its default."
        ),
    )


class SentryBatch(Section):
    """How much is taken from the buffer at once. Requests are made of it: one an issue, one for up to 100 lines."""

    max_age: Annotated[float, DurationIn("100ms", "1h")] = Field(
        default=2.0,
        description=(
            "Records are sent when the oldest of a partition has waited this long. Default `2s`: soon enough "
            "for somebody who is woken, and lines still share requests."
        ),
    )
    max_size: Annotated[int, SizeIn("64KiB", "64MiB")] = Field(
        default=4 << 20,
        description="Records are sent when their compressed bytes reach this. Default `4MiB`.",
    )


class SentrySettings(Section):
    """Failures as issues, and log lines as Sentry Logs where a route says `sentry_logs: true`."""

    type: Literal["sentry"] = Field(description="`sentry`")
    dsn: Dsn = Field(
        description=(
            "DSN of the project, from its settings (Client Keys). Several sinks may have different ones, or "
            "the same: one for issues and one for logs then wait for rate limits apart."
        )
    )
    ca_file: FilePath | None = Field(
        default=None,
        description=(
            "PEM file of the authorities to trust, for a Sentry of your own. Default null: the public "
            "ones; with it, only these."
        ),
    )
    environment: Annotated[Text, AfterValidator(_check_environment)] | None = Field(
        default=None,
        description="Environment of everything sent, for example `staging`. Default null: Sentry shows `production`.",
    )
    release: Annotated[Text, AfterValidator(_check_release)] | None = Field(
        default=None,
        description=(
            "Release of everything sent, for example `{app}@2026.11`; `{organization}`, `{app}` and `{cluster}` "
            "are filled in. Default null: none, since the platform does not say what version runs."
        ),
    )
    issues: SentryIssues = Field(default_factory=SentryIssues, description="Which failures become issues.")
    issues_per_hour: Annotated[int, CountIn(1, 10_000)] = Field(
        default=60,
        description=(
            "Most events that an app's failures make in an hour of the records' own time; further ones are counted "
            "(`issue_quota`) and not sent, and one issue gets at most half of it. Default `60`: a crash loop of "
            "a month stays below 45,000 events."
        ),
    )
    breadcrumbs: Annotated[int, CountIn(0, 100)] = Field(
        default=30,
        description=(
            "Most lines of the same replica that an issue shows from before the failure. Default `30`; 100 is "
            "as many as Sentry keeps."
        ),
    )
    archive: Text | None = Field(
        default=None,
        description=(
            "Where your archive lies, for example `s3://acme-logs/ignite`: an issue names the folder of its hour "
            "below it. Default null: the issue names the folder alone."
        ),
    )
    tags: Annotated[
        Mapping[TagName, Text], BeforeValidator(_empty_is_none_yet), AfterValidator(_check_tags)
    ] = Field(
        default_factory=dict,
        description=(
            "Tags of your own for everything sent. Default none. `organization`, `app`, `replica`, `node` and "
            "`cluster` are always there, as far as the platform tells them."
        ),
    )
    on_rate_limit: Literal["hold", "drop"] = Field(
        default="hold",
        description=(
            "What happens while Sentry refuses by rate limit. `hold` keeps records in the buffer until it is "
            "over, if that is within `longest_hold`; `drop` drops and counts them (`rate_limited`). Default `hold`."
        ),
    )
    longest_hold: Annotated[float, DurationIn("0s", "24h")] = Field(
        default=600.0,
        description=(
            "Records are held for a rate limit of at most this length; for a longer one they are dropped and "
            "counted. Default `10m`: a spike passes, while a quota that is used up lasts to the end of the month "
            "and the buffer would fill."
        ),
    )
    max_age: Annotated[float, DurationIn("1m", "720h")] = Field(
        default=86_400.0,
        description=(
            "Older records are not sent but counted (`too_old`), by their own time. Default `24h`: after a long "
            "outage nobody wants last week's alarms, and the archive has everything. Sentry itself puts "
            "events of more than 30 days at the time of their arrival."
        ),
    )
    batch: SentryBatch = Field(
        default_factory=SentryBatch, description="How much is taken from the buffer at once."
    )
    request_timeout: Annotated[float, DurationIn("1s", "10m")] = Field(
        default=30.0,
        description="A request that takes longer is given up and tried again. Default `30s`.",
    )
    concurrency: Annotated[int, CountIn(1, 32)] = Field(
        default=4, description="Most requests at once. Default `4`."
    )
    join: JoinSettings = Field(
        default_factory=JoinSettings, description="Lines of a stack trace as one record."
    )
    on_remove: OnRemove = Field(default="drain", description=ON_REMOVE)
