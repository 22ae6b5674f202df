"""A client for the comparison of transports: `h2` on asyncio, with DATA frames cut by hand.

`h2` handles connection, headers and settings. DATA frames never reach it: their nine bytes of header are read here,
and what one read of the socket brought for a stream is handed over at once. No thread is involved.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

import h2.config
import h2.connection
from h2.settings import SettingCodes, Settings

_WINDOW: Final = 4 * 1024 * 1024
_DATA: Final = 0
_PLAIN_FLAGS: Final = 0
_HEADER_SIZE: Final = 9
_WINDOW_UPDATE: Final = struct.Struct(">BHBBII")

Take = Callable[[bytes], bool]
"""Takes bytes of a stream's body; whether more are wanted."""


class Client(asyncio.Protocol):
    """One connection. `done` is set when no stream wants more."""

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._takers: dict[int, Take] = {}
        self._rest = b""
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.local_settings = Settings(
            client=True,
            initial_values={SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW},
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the connection was lost"))

    def call(self, path: str, body: bytes, take: Take) -> None:
        """Send a request."""
        stream_id = self._h2.get_next_available_stream_id()
        self._takers[stream_id] = take
        self._h2.send_headers(
            stream_id,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "bench"),
                (":path", path),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ],
        )
        self._h2.send_data(stream_id, body, end_stream=True)
        self._flush()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        parts: dict[int, list[bytes]] = {}
        at, end = 0, len(data)
        while end - at >= _HEADER_SIZE:
            stop = at + _HEADER_SIZE + int.from_bytes(data[at : at + 3], "big")
            if stop > end:
                break
            if data[at + 3] == _DATA and data[at + 4] == _PLAIN_FLAGS:
                stream_id = int.from_bytes(data[at + 5 : at + _HEADER_SIZE], "big")
                parts.setdefault(stream_id, []).append(data[at + _HEADER_SIZE : stop])
            else:
                self._h2.receive_data(data[at:stop])
            at = stop
        self._rest = data[at:]
        for stream_id, pieces in parts.items():
            self._give(stream_id, b"".join(pieces))
        self._flush()

    def _give(self, stream_id: int, data: bytes) -> None:
        """Hand bytes over, and let the server send as many again."""
        take = self._takers.get(stream_id)
        updates = _WINDOW_UPDATE.pack(0, 4, 8, 0, 0, len(data))
        if take is not None and take(data):
            updates += _WINDOW_UPDATE.pack(0, 4, 8, 0, stream_id, len(data))
        elif take is not None:
            del self._takers[stream_id]
            if not self._takers:
                self.done.set_result(None)
        self._transport.write(updates)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._transport.write(data)
