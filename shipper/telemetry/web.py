"""The small HTTP server on `telemetry.listen`: the status page, /api/status, /metrics, /healthz and /readyz."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

# Not `aiohttp.web`, as in `connections`.
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, json_response

from shipper.telemetry.connections import Bounds, Connections
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.looking import BadQuery, Body, Look, Looking
from shipper.telemetry.prometheus import PrometheusMeter

log = logging.getLogger("shipper.telemetry")

_HEADERS: Final = {
    "Server": "shipper",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING_RUNS: Final = "default-src 'none'; frame-ancestors 'none'"

Page = Callable[[BaseRequest], Awaitable[Response]]


class TelemetryServer:
    """Serves while its `async with` block runs. Port 0 takes a free one; `port` says which.

    Raises OSError, naming the setting, when the address cannot be had. Requests never see secrets or records. A slow,
    silent or greedy client costs one of a few places for a bounded time, and cannot keep others out (`connections`).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        meter: PrometheusMeter,
        liveness: Liveness,
        readiness: Readiness,
        bounds: Bounds | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._bounds = bounds or Bounds()
        self._meter = meter
        self._liveness = liveness
        self._readiness = readiness
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._looking = Looking(readiness.reasons)
        self._pages: dict[str, Page] = {
            "/": self._page,
            "/api/status": self._status,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }

    async def __aenter__(self) -> Self:
        self._server = Connections(self._answer, self._bounds)
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._server, self._host, self._port)
        except OSError as error:
            self._renderer.shutdown(wait=False)
            self._looking.close()
            raise _cannot_listen(self._host, self._port, error) from error
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self._server.pre_shutdown()
        await self._server.shutdown(1.0)
        self._renderer.shutdown(wait=False, cancel_futures=True)
        self._looking.close()

    def show(self, look: Look, hide: Callable[[str], str] = str) -> None:
        """From now on the status is what `look` gathers; `hide` takes secrets out of its texts."""
        self._looking.look, self._looking.hide = look, hide

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._port

    async def _answer(self, request: BaseRequest) -> Response:
        self._server.asked(request)
        response = await self._found(request)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Content-Security-Policy", _NOTHING_RUNS)
        response.force_close()
        return response

    async def _found(self, request: BaseRequest) -> Response:
        page = self._pages.get(request.path)
        if page is None:
            return _text("there is nothing here; / says what there is\n", 404)
        if request.method not in ("GET", "HEAD"):
            response = _text("only GET is answered\n", 405)
            response.headers["Allow"] = "GET, HEAD"
            return response
        if request.body_exists:
            return _text("a request with a body is not answered\n", 413)
        try:
            return await page(request)
        except BadQuery as error:
            return _text(f"{error}\n", 400)
        except Exception:
            log.exception("a telemetry page failed; the client got 500", extra={"path": request.path})
            return _text("this page failed; the daemon's log says why\n", 500)

    async def _page(self, request: BaseRequest) -> Response:
        body = await self._looking.page(request.query, zipped=_takes_gzip(request))
        return _sent(body, zipped=_takes_gzip(request), status=200 if self._looking.ready else 503)

    async def _status(self, request: BaseRequest) -> Response:
        if not self._looking.ready:
            return _text("shipper is starting; there is nothing to see yet\n", 503)
        body = await self._looking.status(request.query, zipped=_takes_gzip(request))
        return _sent(body, zipped=_takes_gzip(request))

    async def _metrics(self, request: BaseRequest) -> Response:
        """Rendered in a thread of its own: a thousand apps take milliseconds that the loop does not have."""
        accept = request.headers.get("Accept", "")
        zipped = _takes_gzip(request)
        loop = asyncio.get_running_loop()
        body, content_type = await loop.run_in_executor(self._renderer, self._rendered, accept, zipped)
        response = Response(
            body=body, headers={"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        )
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
        return response

    def _rendered(self, accept: str, zipped: bool) -> tuple[bytes, str]:
        body, content_type = self._meter.render(accept)
        return (gzip.compress(body, compresslevel=1) if zipped else body), content_type

    async def _healthz(self, _: BaseRequest) -> Response:
        if self._liveness.alive:
            return _text("alive\n")
        return _text(f"the event loop had no beat for {self._liveness.silence_s():.0f} s\n", 503)

    async def _readyz(self, request: BaseRequest) -> Response:
        reasons = self._readiness.reasons()
        status = 503 if reasons else 200
        if "application/json" in request.headers.get("Accept", ""):
            conditions = self._readiness.conditions()
            body = {
                "ready": not reasons,
                "conditions": {name: reason or "ok" for name, reason in conditions.items()},
            }
            return json_response(body, status=status, dumps=json.dumps)
        if not reasons:
            return _text("ready\n")
        return _text(
            "not ready\n" + "".join(f"- {name}: {reason}\n" for name, reason in reasons.items()), status
        )


def _takes_gzip(request: BaseRequest) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "").lower()


def _sent(body: Body, *, zipped: bool, status: int = 200) -> Response:
    headers = {"Content-Type": f"{body.content_type}; charset=utf-8", "Vary": "Accept-Encoding"}
    if zipped:
        headers["Content-Encoding"] = "gzip"
    if body.policy:
        headers["Content-Security-Policy"] = body.policy
    return Response(body=body.data, headers=headers, status=status)


def _text(text: str, status: int = 200) -> Response:
    return Response(text=text, status=status)


def _cannot_listen(host: str, port: int, error: OSError) -> OSError:
    what = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    # Without the number, which OSError would put in front of the words.
    return OSError(
        f"telemetry.listen: cannot listen on {host}:{port}: {what}; free that address or change the setting"
    )
