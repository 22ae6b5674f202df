"""The HTTP/1.1 server: one listening port that can be taken down hard and brought back on the same number."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from shipper.emulator.gateway import Gateway
from shipper.emulator.scenario import Tls


class HttpServer:
    """Serves a gateway. After the first `start` the port stays the same for every later one."""

    def __init__(self, gateway: Gateway, host: str, port: int, tls: Tls | None) -> None:
        self._gateway = gateway
        self._host = host.strip("[]")  # an IPv6 address comes as in a URL
        self._port = port
        self._tls = None if tls is None else server_context(tls)
        self._runner: web.ServerRunner | None = None

    @property
    def address(self) -> str:
        """HOST:PORT, once it has been started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        if self._runner is not None:
            return
        server = web.Server(self._answer, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Close the port and every connection now; calls in flight break."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = _Exchange(request)
        headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
        try:
            await self._gateway.serve(exchange, request.method, request.raw_path, headers)
        except ConnectionError:
            exchange.cut()  # the client went
        return exchange.response


class _Exchange:
    """An answer over aiohttp."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.response = web.StreamResponse()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.response = web.StreamResponse(status=status, headers=headers)
        await self.response.prepare(self._request)

    async def send(self, data: bytes) -> None:
        await self.response.write(data)

    async def end(self) -> None:
        await self.response.write_eof()

    def cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS with HTTP/1.1 alone; a client must show a certificate where an authority for them is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads a key from a file only
        identity = Path(folder) / "identity.pem"
        identity.touch(mode=0o600)
        identity.write_bytes(tls.key + b"\n" + tls.certificate)
        context.load_cert_chain(identity)
    if tls.client_ca is not None:
        context.load_verify_locations(cadata=tls.client_ca.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context
