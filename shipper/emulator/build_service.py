"""Drafts, build logs and BuildService over the world: what each call answers."""

from __future__ import annotations

from typing import Any, Final

import grpc

from shipper.emulator.builds import EmulatedBuild, Piece
from shipper.emulator.descriptors import BUILD_SERVICE, SERVICE, Schema
from shipper.emulator.handlers import Handlers
from shipper.emulator.service import ComputeService
from shipper.emulator.streams import OpenStream
from shipper.emulator.world import World

COMPILE: Final = "StreamCompileLogs"
BUILD: Final = "StreamBuildLogs"


class BuildHandlers:
    """The handlers. All of them pass the gate of `compute`."""

    def __init__(self, world: World, schema: Schema, compute: ComputeService) -> None:
        self._world = world
        self._schema = schema
        self._compute = compute

    def handlers(self) -> tuple[Handlers, ...]:
        """All calls of drafts and builds."""
        compute = Handlers(
            SERVICE,
            {"GetDraftInfo": self._get_draft, "GetBuildLog": self._get_build_log},
            {COMPILE: self._stream_compile},
        )
        builds = Handlers(BUILD_SERVICE, {"ListBuilds": self._list_builds}, {BUILD: self._stream_build})
        return compute, builds

    # ---- unary calls ----

    async def _get_draft(self, request: Any, context: Any) -> bytes:
        await self._compute.admit("GetDraftInfo", request.organization_name, request.app_name, context)
        await self._compute.app(request.app_name, context)
        draft = self._world.builds.drafts.get(request.app_name)
        if draft is None:
            return b""
        status = self._schema.number("VersionStatus", "VERSION_STATUS_DRAFT")
        fields = {"deploy_id": draft.build_id, "created_at_ms": draft.created_ms, "status": status}
        return self._compute.encode("GetDraftInfoResponse", draft=fields)

    async def _get_build_log(self, request: Any, context: Any) -> bytes:
        await self._compute.admit("GetBuildLog", request.organization_name, request.app_name, context)
        await self._compute.app(request.app_name, context)
        build = self._world.builds.all.get(request.build_id)
        if build is None or build.app != request.app_name or build.running or not build.kept:
            return b""
        return self._compute.encode("GetBuildLogResponse", log=build.log, found=True)

    async def _list_builds(self, request: Any, context: Any) -> bytes:
        await self._compute.admit("ListBuilds", None, None, context)
        builds = self._world.builds.listed()
        limit = min(request.limit or self._world.scenario.page_size, self._world.scenario.page_size)
        try:
            start = int(request.cursor or "0")
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the cursor is not one of ours")
        more = str(start + limit) if start + limit < len(builds) else ""
        rows = [self._row(build) for build in builds[start : start + limit]]
        return self._compute.encode("ListBuildsResponse", builds=rows, next_cursor=more)

    def _row(self, build: EmulatedBuild) -> dict[str, Any]:
        named = self._world.scenario.builds_name_apps
        return {
            "build_id": build.build_id,
            "name": build.app if named else f"image-of-{build.build_id}",
            "app_name": build.app if named else "",
            "status": self._schema.number("BuildStatus", build.status),
            "created_at_ms": build.created_ms,
        }

    # ---- streams ----

    async def _stream_compile(self, request: Any, context: Any) -> None:
        await self._stream(COMPILE, request.deploy_id, "compile", "CompileLogChunk", request, context)

    async def _stream_build(self, request: Any, context: Any) -> None:
        await self._stream(BUILD, request.build_id, "build", "BuildLogChunk", request, context)

    async def _stream(
        self, method: str, build_id: str, source: str, chunk: str, request: Any, context: Any
    ) -> None:
        build = self._world.builds.all.get(build_id)
        await self._compute.admit(method, None, None if build is None else build.app, context)
        if build is None or build.source != source or not build.streamed:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no stream of {build_id}")
            return
        message = self._schema.message(chunk)

        def encoded(piece: Piece) -> bytes:
            data: bytes = message(data=piece.data, timestamp_ms=piece.timestamp_ms).SerializeToString()
            return data

        token = self._compute.token(context)
        stream = OpenStream(method, build.app, "", token, request.from_start)
        reader = build.reader(stream.bell, from_start=request.from_start)
        await self._compute.pump(stream, reader, encoded, context)
