"""`shipper check --connect`: the platform and every sink, tried once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from shipper.collect.collector import Selection
from shipper.errors import ShipperError
from shipper.ignite.connect import connect
from shipper.model import App
from shipper.sinks import AnySink, make_sink
from shipper.sinks.port import Delivered

if TYPE_CHECKING:
    from shipper.config.settings import Settings

T = TypeVar("T")


async def connect_report(settings: Settings) -> list[tuple[str, bool, str]]:
    """Try the platform and every sink once: (what, whether it works, what was seen or what to do)."""
    report: list[tuple[str, bool, str]] = []
    platform = connect(settings.ignite)
    try:
        await _try(
            report,
            "token",
            platform.tokens.token,
            lambda token: "none is sent" if token is None else "obtained",
        )
        await _try(
            report,
            "platform",
            platform.dialect,
            str,
        )
        selection = Selection(settings.ignite.organization, settings.apps.include, settings.apps.exclude)
        names = sorted(selection.exact())
        if selection.needs_listing:
            listed = await _try(report, "ListApps", platform.list_apps, lambda apps: f"{len(apps)} apps")
            names = sorted(selection.choose(listed or []) | selection.exact())
        if names:
            app = App(settings.ignite.organization, names[0])
            await _try(
                report,
                f"ListAppReplicas {app}",
                lambda: platform.list_replicas(app),
                lambda replicas: f"{len(replicas)} replicas",
            )
    finally:
        await platform.aclose()
    for name, sink_settings in settings.sinks.items():
        report.append(await _try_sink(make_sink(name, sink_settings)))
    return report


async def _try(
    report: list[tuple[str, bool, str]],
    what: str,
    call: Callable[[], Awaitable[T]],
    describe: Callable[[T], str],
) -> T | None:
    try:
        answer = await call()
    except ShipperError as error:
        report.append((what, False, str(error)))
        return None
    report.append((what, True, describe(answer)))
    return answer


async def _try_sink(sink: AnySink) -> tuple[str, bool, str]:
    what = f"sink {sink.name}"
    try:
        await sink.open()
        outcome = await sink.check()
    except OSError as error:
        return what, False, str(error)
    finally:
        await sink.aclose()
    if isinstance(outcome, Delivered):
        return what, True, outcome.detail or "reachable"
    return what, False, outcome.reason
