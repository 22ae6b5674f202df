"""The gRPC server: one listening port that can be taken down hard and brought back on the same number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from shipper.emulator.scenario import Scenario


class Server:
    """Serves the given handlers. After the first `start` the port stays the same for every later one."""

    def __init__(self, scenario: Scenario, handlers: Sequence[Any]) -> None:
        self._scenario = scenario
        self._handlers = tuple(handlers)
        self._port = scenario.port
        self._server: Any = None

    @property
    def address(self) -> str:
        """HOST:PORT, once it has been started."""
        return f"{self._scenario.host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        if self._server is not None:
            return
        server = grpc.aio.server(options=self._options(), compression=self._compression())
        server.add_generic_rpc_handlers(self._handlers)
        tls = self._scenario.tls
        try:
            if tls is None:
                self._port = server.add_insecure_port(self.address)
            else:
                credentials = grpc.ssl_server_credentials(  # type: ignore[no-untyped-call]
                    [(tls.key, tls.certificate)], tls.client_ca, require_client_auth=tls.client_ca is not None
                )
                self._port = server.add_secure_port(self.address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self.address}: {error}") from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Close the port and every connection now; calls in flight break."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    def _options(self) -> list[tuple[str, int]]:
        options = [
            ("grpc.so_reuseport", 0),  # a second server on the port is a mistake here, never a wish
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 64 * 1024),
        ]
        if self._scenario.max_concurrent_streams is not None:
            options.append(("grpc.max_concurrent_streams", self._scenario.max_concurrent_streams))
        return options

    def _compression(self) -> Any:
        return grpc.Compression.Gzip if self._scenario.gzip else None
