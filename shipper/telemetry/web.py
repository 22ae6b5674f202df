"""The small HTTP server on `telemetry.listen`: /metrics, /healthz, /readyz and an index."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

from aiohttp import web

from shipper import __version__
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter

log = logging.getLogger("shipper.telemetry")

CONNECTIONS: Final = 64
LIFETIME_S: Final = 30.0
"""A connection serves one request and ends after this time at the latest, whatever its client does or fails to do."""
_LONGEST_LINE: Final = 4096

_INDEX: Final = f"""\
shipper {__version__}

/metrics  Prometheus metrics
/healthz  200 while the event loop runs
/readyz   200 when everything that must work does, else 503 and what is missing
"""

Page = Callable[[web.BaseRequest], Awaitable[web.Response]]


class TelemetryServer:
    """Serves while its `async with` block runs. Port 0 takes a free one; `port` says which.

    Raises OSError, naming the setting, when the address cannot be had. Requests never see secrets, records or the
    configuration. A slow, silent or greedy client costs one of `connections` places for `lifetime_s` seconds.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        meter: PrometheusMeter,
        liveness: Liveness,
        readiness: Readiness,
        connections: int = CONNECTIONS,
        lifetime_s: float = LIFETIME_S,
    ) -> None:
        self._host = host
        self._port = port
        self._connections = connections
        self._lifetime_s = lifetime_s
        self._meter = meter
        self._liveness = liveness
        self._readiness = readiness
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._pages: dict[str, Page] = {
            "/": self._index,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }

    async def __aenter__(self) -> Self:
        self._server = _OneRequestServer(self._answer, self._connections, self._lifetime_s)
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._server, self._host, self._port)
        except OSError as error:
            self._renderer.shutdown(wait=False)
            raise _cannot_listen(self._host, self._port, error) from error
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self._server.pre_shutdown()
        await self._server.shutdown(1.0)
        self._renderer.shutdown(wait=False, cancel_futures=True)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._port

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            response = _text("there is nothing here; / says what there is\n", 404)
        elif request.method not in ("GET", "HEAD"):
            response = _text("only GET is answered\n", 405)
            response.headers["Allow"] = "GET, HEAD"
        else:
            try:
                response = await page(request)
            except Exception:
                log.exception("a telemetry page failed; the client got 500", extra={"path": request.path})
                response = _text("this page failed; the daemon's log says why\n", 500)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        return response

    async def _index(self, _: web.BaseRequest) -> web.Response:
        return _text(_INDEX)

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        """Rendered in a thread of its own: a thousand apps take milliseconds that the loop does not have."""
        accept = request.headers.get("Accept", "")
        zipped = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        loop = asyncio.get_running_loop()
        body, content_type = await loop.run_in_executor(self._renderer, self._rendered, accept, zipped)
        response = web.Response(
            body=body, headers={"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        )
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
        return response

    def _rendered(self, accept: str, zipped: bool) -> tuple[bytes, str]:
        body, content_type = self._meter.render(accept)
        return (gzip.compress(body, compresslevel=1) if zipped else body), content_type

    async def _healthz(self, _: web.BaseRequest) -> web.Response:
        if self._liveness.alive:
            return _text("alive\n")
        return _text(f"the event loop had no beat for {self._liveness.silence_s():.0f} s\n", 503)

    async def _readyz(self, request: web.BaseRequest) -> web.Response:
        reasons = self._readiness.reasons()
        status = 503 if reasons else 200
        if "application/json" in request.headers.get("Accept", ""):
            conditions = self._readiness.conditions()
            body = {
                "ready": not reasons,
                "conditions": {name: reason or "ok" for name, reason in conditions.items()},
            }
            return web.json_response(body, status=status, dumps=json.dumps)
        if not reasons:
            return _text("ready\n")
        return _text(
            "not ready\n" + "".join(f"- {name}: {reason}\n" for name, reason in reasons.items()), status
        )


class _OneRequestServer(web.Server):
    """aiohttp's low-level server, with a bound on connections and on the life of each."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        connections: int,
        lifetime_s: float,
    ) -> None:
        super().__init__(
            handler,
            access_log=None,
            # What a client does wrong is answered to the client; it is no news for the daemon's log.
            logger=logging.Logger("telemetry clients", level=logging.CRITICAL + 1),
            keepalive_timeout=lifetime_s,
            lingering_time=0.0,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._most = connections
        self._lifetime_s = lifetime_s
        self._deadlines: dict[Any, asyncio.TimerHandle] = {}

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._deadlines) >= self._most:
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._deadlines[handler] = loop.call_later(self._lifetime_s, transport.abort)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        deadline = self._deadlines.pop(handler, None)
        if deadline is not None:
            deadline.cancel()


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status)


def _cannot_listen(host: str, port: int, error: OSError) -> OSError:
    what = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return OSError(
        error.errno,
        f"telemetry.listen: cannot listen on {host}:{port}: {what}; free that address or change the setting",
    )
