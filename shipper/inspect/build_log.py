"""`shipper ignite build-log`: what a build or a compile printed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from shipper.archive.codec import BuildIdentity, encode_build_run
from shipper.ignite.lines import LineCutter, Lines
from shipper.ignite.port import Build, Builds, Output
from shipper.ignite.status import CallFailed, Code
from shipper.inspect.quiet import until_quiet
from shipper.inspect.showing import Screen, safe
from shipper.inspect.trouble import NotShown
from shipper.model import App

T = TypeVar("T")

_DEPLOY: Final = "dpl_"  # as on https://docs.dodil.io/ignite/compute/api-reference/observability
_MISSING: Final = (Code.NOT_FOUND, Code.UNIMPLEMENTED)
_PIECE: Final = 64 * 1024

Stream = Callable[[str], AbstractAsyncContextManager[AsyncIterator[Output]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which output: of the compile that `deploy_id` names, else of a build; and its own time (Unix ms, 0: unknown)."""

    build_id: str
    compiled: bool
    time_ms: int = 0


@dataclass(slots=True)
class BuildOutput:
    """The output of one build. Each method raises CallFailed, or NotShown."""

    builds: Builds
    app: App
    screen: Screen
    _cutter: LineCutter = field(default_factory=LineCutter)

    async def show(self, build_id: str | None, *, follow: bool) -> None:
        """Print a build's output; without an id that of the app's newest. `follow` waits for its end."""
        wanted = await self._newest() if build_id is None else await self._named(build_id)
        if not follow and await self._log(wanted):
            return
        if not await self._stream(wanted, follow=follow) and not (follow and await self._log(wanted)):
            raise NotShown(
                f"the platform has no output of {wanted.build_id} for {self.app} (any more): logs are kept for 3 days"
            )

    # ---- which ----

    async def _newest(self) -> Wanted:
        draft = await _or(self.builds.get_draft(self.app))
        if draft is not None and draft.deploy_id and not draft.image_ref:
            return Wanted(draft.deploy_id, True, draft.created_ms)
        builds = [build for build in await _or(self.builds.list_builds()) or () if self._ours(build)]
        if builds:
            newest = max(builds, key=lambda build: build.created_ms)
            return Wanted(newest.build_id, False, newest.created_ms)
        if draft is not None and draft.deploy_id:
            return Wanted(draft.deploy_id, True, draft.created_ms)
        raise NotShown(
            f"the platform names no build of {self.app}; say which: shipper ignite build-log {self.app.name} BUILD_ID"
        )

    async def _named(self, build_id: str) -> Wanted:
        draft = await _or(self.builds.get_draft(self.app))
        if draft is not None and draft.deploy_id == build_id:
            return Wanted(build_id, True, draft.created_ms)
        if build_id.startswith(_DEPLOY):
            return Wanted(build_id, True)
        builds = await _or(self.builds.list_builds()) if self.screen.json else None  # for its time alone
        times = [build.created_ms for build in builds or () if build.build_id == build_id]
        return Wanted(build_id, False, max(times, default=0))

    def _ours(self, build: Build) -> bool:
        return (build.app_name or build.name) in (self.app.name, str(self.app))

    # ---- its output ----

    async def _log(self, wanted: Wanted) -> bool:
        """Print the whole log, if there is one."""
        try:
            async with self.builds.get_build_log(self.app, wanted.build_id) as pieces:
                async for data in pieces:
                    for at in range(0, len(data), _PIECE):
                        self._show(wanted, self._cutter.feed(data[at : at + _PIECE], wanted.time_ms))
        except CallFailed as failure:
            if failure.status.code in _MISSING:
                return False
            raise
        self._show(wanted, self._cutter.finish())
        return pieces.found

    async def _stream(self, wanted: Wanted, *, follow: bool) -> bool:
        """Print what the stream has (and, to `follow`, will have), if there is one and it has anything."""
        stream: Stream = self.builds.stream_compile_logs if wanted.compiled else self.builds.stream_build_logs
        any_output = False
        try:
            async with stream(wanted.build_id) as outputs:
                async for output in outputs if follow else until_quiet(outputs):
                    for time_ms, data in zip(output.times, output.pieces, strict=True):
                        any_output = any_output or bool(data)
                        self._show(wanted, self._cutter.feed(data, time_ms or wanted.time_ms))
        except CallFailed as failure:
            if failure.status.code in _MISSING:
                return False
            raise
        self._show(wanted, self._cutter.finish())
        return any_output

    def _show(self, wanted: Wanted, found: Lines) -> None:
        if not found.lines:
            return
        if not self.screen.json:
            self.screen.write(map(safe, found.lines))
            return
        who = BuildIdentity(
            self.app.organization,
            self.app.name,
            build_id="" if wanted.compiled else wanted.build_id,
            deploy_id=wanted.build_id if wanted.compiled else "",
            source="compile" if wanted.compiled else "build",
        )
        self.screen.records(encode_build_run(who, found.times, found.lines))


async def _or(call: Awaitable[T]) -> T | None:
    """The answer, None where the platform does not have such a call or such a thing."""
    try:
        return await call
    except CallFailed as failure:
        if failure.status.code in _MISSING:
            return None
        raise
