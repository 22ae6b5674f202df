"""The `datadog` sink: which account, how records are named there, and what happens to late ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from shipper.config.joining import JoinSettings
from shipper.config.removal import ON_REMOVE, OnRemove
from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.types import CountIn, DurationIn, FilePath, HttpUrl, SizeIn, check_text, expect_text
from shipper.model import Codec

TEMPLATE_NAMES: Final = ("organization", "app", "replica", "cluster", "node", "stream")
OWN_TAGS: Final = frozenset(("organization", "app", "replica", "cluster", "stream"))
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,256}")  # what a header takes; that it is no key shows soon enough
# https://docs.datadoghq.com/getting_started/tagging/#define-tags
_TAG: Final = re.compile(r"[^\W\d_][^,\s]{0,199}")

Site = Literal[
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "ddog-gov.com",
    "us2.ddog-gov.com",
]
"""Those that datadog-api-client 2.62 knows for its logs intake."""


def _bare_site(site: Any) -> Any:
    """People copy what their browser shows: `https://app.datadoghq.eu/logs` is the site datadoghq.eu."""
    if not isinstance(site, str):
        return site
    return re.sub(r"^(https?://)?(app\.)?", "", site.strip().lower()).partition("/")[0]


def _check_key(key: Secret) -> Secret:
    if not _KEY.fullmatch(key.reveal()):
        raise ValueError("is not an API key; copy it from Organization Settings, API Keys")
    return key


def _check_template(template: str) -> str:
    names = _PLACEHOLDER.findall(template)
    unknown = [name for name in names if name not in TEMPLATE_NAMES]
    if unknown or re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        known = ", ".join("{" + name + "}" for name in TEMPLATE_NAMES)
        raise ValueError(f"has braces around something else than a name that is known here: {known}")
    return template


def _tag_list(tags: Any) -> Any:
    """Tags are written as a list of `name:value`, or as a mapping of names to values."""
    if tags is None:
        return ()
    if not isinstance(tags, Mapping):
        return tags
    return [_pair(name, value) for name, value in tags.items()]


def _pair(name: str, value: Any) -> str:
    try:
        return _check_tag(f"{name}:{expect_text(value)}")
    except ValueError as error:
        raise ValueError(f"has {name!a}, which {error}") from None


def _check_tag(tag: str) -> str:
    if not _TAG.fullmatch(check_text(tag)):
        raise ValueError("is not a tag: a letter first, no space or comma, at most 200 characters")
    if (name := tag.partition(":")[0].lower()) in OWN_TAGS:
        raise ValueError(f"sets the tag {name}, which every record has of its own; choose another name")
    return tag


Template = Annotated[str, BeforeValidator(expect_text), AfterValidator(_check_template)]
ApiKey = Annotated[Secret, AfterValidator(_check_key)]
Tag = Annotated[str, BeforeValidator(expect_text), AfterValidator(_check_tag)]
Tags = Annotated[
    tuple[Tag, ...],
    BeforeValidator(_tag_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "string"}},
            ]
        }
    ),
]


class DatadogBatch(Section):
    """How much the sink takes out of the buffer at once; requests are made of it by Datadog's own limits."""

    max_age: Annotated[float, DurationIn("100ms", "24h")] = Field(
        default=2.0,
        description=(
            "Records are sent when the oldest of them has waited this long. Default `2s`: soon enough to watch, "
            "long enough for requests that are worth their headers."
        ),
    )
    max_size: Annotated[int, SizeIn("64KiB", "64MiB")] = Field(
        default=4 << 20,
        description=(
            "Most compressed bytes that are taken at once. Default `4MiB`: some hundred requests' worth; "
            "how far a batch has come is remembered, so a restart does not begin it anew."
        ),
    )


class DatadogSettings(Section):
    """Logs and events in a Datadog account."""

    type: Literal["datadog"] = Field(description="`datadog`")
    site: Annotated[Site, BeforeValidator(_bare_site)] = Field(
        default="datadoghq.com",
        description=(
            "The account's site: the host in the browser without `app.`. Default `datadoghq.com`, which is US1. "
            "A key is known to its own site alone."
        ),
    )
    api_key: ApiKey = Field(
        description="API key of the account (not an application key). Read it from a mounted file or the environment."
    )
    endpoint_url: HttpUrl | None = Field(
        default=None,
        description=(
            "In place of the site's hosts, for logs and events alike: a relay, a private link, a test. Default "
            "null: `https://http-intake.logs.<site>` and `https://api.<site>`."
        ),
    )
    ca_file: FilePath | None = Field(
        default=None,
        description=(
            "PEM file of the authorities to trust, for a relay or a proxy that looks into TLS. Default null: the "
            "public ones; with it, only these."
        ),
    )
    service: Template = Field(
        default="{app}",
        description=(
            "Service of the logs; `{organization}`, `{app}`, `{replica}`, `{cluster}`, `{node}` and `{stream}` are "
            "filled in. Default `{app}`: write the same name for the app's traces."
        ),
    )
    source: Template = Field(
        default="ignite",
        description=(
            "Source of the logs (`ddsource`), a template like `service`; it chooses the pipeline that parses them "
            "at Datadog. Default `ignite`: none of Datadog's own."
        ),
    )
    hostname: Template = Field(
        default="{node}",
        description=(
            "Host of the logs, a template like `service`. Default `{node}`: the host's own tags apply where "
            "Datadog knows the node by that name."
        ),
    )
    tags: Tags = Field(
        default=(),
        description=(
            "Tags of every record besides organization, app, replica, cluster and stream: a list (`env:prod`) or a "
            "mapping (`env: prod`). Default none."
        ),
    )
    compression: Codec = Field(
        default=Codec.GZIP,
        description=(
            "How requests are compressed: `gzip`, `zstd` or `none`. Default `gzip`, which the API's pages name; "
            "`zstd` takes less than a third of the time and is not in them, though Datadog's intake reads it."
        ),
    )
    late: Literal["restamp", "drop"] = Field(
        default="restamp",
        description=(
            "What happens to records that Datadog throws away for their time, older than 18 hours or two hours "
            "ahead: `restamp` sends them with the time of sending, their own in an attribute; `drop` leaves them "
            "out and counts them. Default `restamp`: nothing is missing."
        ),
    )
    events: Literal["logs", "api", "both", "none"] = Field(
        default="logs",
        description=(
            "Where platform events go: `logs`, the Events API (`api`, a request an event), `both`, or `none`. "
            "Default `logs`: batched, and beside the lines they are about."
        ),
    )
    batch: DatadogBatch = Field(
        default_factory=DatadogBatch, description="How much is taken out of the buffer at once."
    )
    join: JoinSettings = Field(default_factory=JoinSettings, description="Stack traces as one log each.")
    concurrency: Annotated[int, CountIn(1, 32)] = Field(
        default=4,
        description=("Most requests at once. Default `4`; each holds up to 5 MB."),
    )
    request_timeout: Annotated[float, DurationIn("1s", "10m")] = Field(
        default=30.0,
        description="A request that takes longer is given up and tried again. Default `30s`.",
    )
    on_remove: OnRemove = Field(default="drain", description=ON_REMOVE)
