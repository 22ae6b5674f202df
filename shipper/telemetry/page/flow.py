"""The parts of the page about what comes in: apps, replicas, the platform, ends of streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from shipper.telemetry.facts import Query
from shipper.telemetry.page.markup import Content, Markup, join, tag
from shipper.telemetry.page.parts import (
    NOTHING,
    Column,
    ago,
    app_name,
    clock,
    counted,
    dim,
    lasted,
    number,
    pairs,
    section,
    state,
    table,
)

Json = Mapping[str, Any]

_APPS = (
    Column("App"),
    Column("Replicas", "n"),
    Column("Their log streams"),
    Column("Records/s", "n"),
    Column("Events and builds", wide=True),
    Column("Listed", wide=True),
)
_REPLICAS = (
    Column("Replica"),
    Column("App", wide=True),
    Column("State"),
    Column("For", "n", wide=True),
    Column("Newest record", "n"),
    Column("Records/s", "n"),
    Column("Reconnects", "n", wide=True),
    Column("Why the last stream ended", "t", wide=True),
    Column("Node", wide=True),
)


def apps(status: Json, query: Query) -> Markup:
    """The apps that are meant, and the filter."""
    known = status["apps"]
    shown = known["items"]
    caption = f"{known['matching']:,} of {known['total']:,} apps"
    if len(shown) < known["matching"]:
        caption += f", the {len(shown):,} that need a look most"
    rows = (_app(app, status) for app in shown)
    body = table(caption, _APPS, rows) if shown else tag("p", _no_apps(query, known["total"]))
    return section("apps", "Apps", _filter(status, query), body)


def _no_apps(query: Query, total: int) -> str:
    if not total:
        return "No app is known yet."
    return f"No app or replica fits the filter. A part of a name needs a star: {query.app or query.replica}*"


def _filter(status: Json, query: Query) -> Markup:
    names = [app["app"].partition("/")[2] for app in status["apps"]["items"]]
    return tag(
        "form",
        tag(
            "label",
            "App (name or glob)",
            tag("input", name="app", value=query.app, list="names", autocomplete="off", spellcheck="false"),
        ),
        tag("datalist", *(tag("option", value=name) for name in names), id="names"),
        tag(
            "label",
            "Replica (name or glob)",
            tag("input", name="replica", value=query.replica, autocomplete="off", spellcheck="false"),
        ),
        tag("button", "Filter"),
        tag("a", "Show all", href="/#apps") if query.app or query.replica else None,
        method="get",
        action="/",
        id="filter",
        role="search",
        aria_label="Filter by app and replica",
    )


def _app(app: Json, status: Json) -> list[Content]:
    listed: Content = ago(app["listed_at"], status["at"])
    if app["problem"]:
        listed = join(tag("span", "refused", class_="state poor"), " ", dim(app["problem"]))
    name = app_name(app["app"], status)
    return [
        tag("a", name, href=f"/?{urlencode({'app': name})}#replicas"),
        number(app["replicas"]),
        join(*_states(app["states"])) or NOTHING,
        number(app["records_per_second"]),
        join(*_own(app["subscriptions"])),
        listed,
    ]


def _own(subscriptions: Sequence[Json]) -> Iterator[Content]:
    """Those of the app itself, counted where there are several alike."""
    for (kind, name), count in Counter((one["kind"], one["state"]) for one in subscriptions).items():
        yield join(dim(kind), " ", state(name), f" {count} " if count > 1 else " ")


def _states(states: Mapping[str, int]) -> Iterator[Content]:
    for name, count in states.items():
        yield join(state(name), f" {count:,} ")


def replicas(status: Json, query: Query) -> Markup:
    """A page of the replicas that are meant, the worst first."""
    known = status["replicas"]
    shown = known["items"]
    first = known["offset"] + 1
    caption = f"{known['matching']:,} of {known['total']:,} replicas"
    if len(shown) < known["matching"]:
        caption += f": {first:,} to {known['offset'] + len(shown):,}, those that need a look first"
    rows = (
        _replica(replica, stream, status)
        for replica in shown
        for stream in replica["subscriptions"] or [None]
    )
    body = table(caption, _REPLICAS, rows) if shown else tag("p", "None.")
    return section("replicas", "Replicas", body, _pages(known, query))


def _replica(replica: Json, stream: Json | None, status: Json) -> list[Content]:
    app, now = app_name(replica["app"], status), status["at"]
    name = join(replica["replica"], dim(f" ↻{replica['restarts']}") if replica["restarts"] else None)
    if stream is None:
        return [name, app, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, "", replica["node"]]
    return [
        name,
        app,
        state(stream["state"]),
        lasted(stream["since"], now),
        ago(stream["newest_record_at"], now),
        number(stream["records_per_second"]),
        number(stream["reconnects"]),
        dim(stream["last_end"]),
        dim(replica["node"]),
    ]


def _pages(known: Json, query: Query) -> Markup | None:
    offset, limit, matching = known["offset"], known["limit"], known["matching"]
    links = []
    if offset:
        links.append(tag("a", "← Previous", href=_link(query, max(0, offset - limit)), rel="prev"))
    if offset + limit < matching:
        links.append(tag("a", "Next →", href=_link(query, offset + limit), rel="next"))
    return tag("nav", *links, class_="pages", aria_label="Pages of replicas") if links else None


def _link(query: Query, offset: int) -> str:
    wanted = {"app": query.app, "replica": query.replica, "offset": offset, "limit": query.limit}
    return f"/?{urlencode({name: value for name, value in wanted.items() if value})}#replicas"


def reconnects(status: Json) -> Markup:
    """Streams that ended, by why."""
    windows = status["reconnects"]
    names = sorted(
        {
            (kind, why)
            for one in windows.values()
            for kind, reasons in one["by_kind"].items()
            for why in reasons
        }
    )
    columns = (
        Column("Kind"),
        Column("Why it ended"),
        Column("15 min", "n"),
        Column("24 h", "n"),
        Column("Since start", "n"),
    )
    rows = (
        [kind, why, *(number(one["by_kind"].get(kind, {}).get(why, 0)) for one in windows.values())]
        for kind, why in names
    )
    body = table("Streams that ended", columns, rows) if names else tag("p", "No stream has ended yet.")
    return section("reconnects", "Reconnects", body)


def platform(status: Json) -> Markup:
    """The platform and how it is spoken to."""
    known, now = status["platform"], status["at"]
    token, error = known["token"], known["last_error"]
    says: Content = token["type"]
    if token["expires_at"]:
        says = join(token["type"], ", expires ", ago(token["expires_at"], now))
    if token["problem"]:
        says = join(says, ": ", tag("span", token["problem"], class_="poor"))
    features = join(
        *(
            tag("div", state("on") if one["on"] else dim("off"), f" {one['name']} ", dim(one["why"]))
            for one in known["features"]
        )
    )
    return section(
        "platform",
        "Platform",
        pairs(
            ("Endpoint", known["endpoint"]),
            ("Organization", known["organization"]),
            ("Spoken", known["dialect"]),
            ("Token", says),
            ("Connections", f"{known['connections']:,} with {known['streams']:,} streams"),
            (
                "Subscriptions",
                join(*(tag("div", f"{kind}: {counted(by)}") for kind, by in status["streams"].items())),
            ),
            ("Collected", features),
            ("Last error", join(error["text"], " ", dim(clock(error["at"]))) if error else "none"),
        ),
    )
