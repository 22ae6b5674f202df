"""`shipper check --connect`: the buffer's folder, the platform and every sink, tried once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from shipper.collect.collector import Selection
from shipper.config.settings import Settings
from shipper.daemon.volume import looked_at
from shipper.errors import ShipperError
from shipper.ignite.advice import advised
from shipper.ignite.connect import connect
from shipper.ignite.status import CallFailed
from shipper.model import App
from shipper.sinks import AnySink, make_sink
from shipper.sinks.port import Delivered

if TYPE_CHECKING:
    from shipper.ignite.gateway.platform import HttpPlatform
    from shipper.ignite.grpc import GrpcPlatform

T = TypeVar("T")
Report = list[tuple[str, bool, str]]


async def connect_report(settings: Settings) -> Report:
    """Try everything once: (what, whether it works, what was seen or what to do)."""
    report: Report = [("buffer", *looked_at(settings.buffer.path, settings.buffer.max_size))]
    platform = connect(settings.ignite)
    try:
        await _try_platform(report, settings, platform)
    finally:
        await platform.aclose()
    for name, sink_settings in settings.sinks.items():
        report.append(await _try_sink(make_sink(name, sink_settings)))
    return report


async def _try_platform(report: Report, settings: Settings, platform: GrpcPlatform | HttpPlatform) -> None:
    """What cannot work without the one before is not tried: it would fail in the same words."""
    await _try(report, "token", platform.tokens.token, _token)
    if not _worked(report):
        return
    await _try(report, "platform", platform.dialect, str)
    if not _worked(report):
        return
    selection = Selection(settings.ignite.organization, settings.apps.include, settings.apps.exclude)
    names = selection.exact()
    if selection.needs_listing:
        listed = await _try(report, "ListApps", platform.list_apps, lambda apps: f"{len(apps)} apps")
        names |= selection.choose(listed or [])
        if listed is not None and not names:
            report.append(("apps", False, _none_of(len(listed))))
    if names:
        app = App(settings.ignite.organization, min(names))
        await _try(
            report,
            f"ListAppReplicas {app}",
            lambda: platform.list_replicas(app),
            lambda replicas: f"{len(replicas)} replicas",
        )


def _token(token: str | None) -> str:
    return "none is sent" if token is None else "obtained"


def _none_of(listed: int) -> str:
    if listed:
        return f"none of the {listed} that are listed is selected: check apps.include and apps.exclude"
    return "none is listed: check ignite.organization, and the role of the service account"


def _worked(report: Report) -> bool:
    return report[-1][1]


async def _try(
    report: Report, what: str, call: Callable[[], Awaitable[T]], describe: Callable[[T], str]
) -> T | None:
    try:
        answer = await call()
    except CallFailed as error:
        report.append((what, False, advised(error.status)))
    except ShipperError as error:
        report.append((what, False, str(error)))
    else:
        report.append((what, True, describe(answer)))
        return answer
    return None


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
