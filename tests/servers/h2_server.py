"""A scriptable HTTP/2 server below gRPC: it sends the frames that a test asks for, the wrong ones too."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from shipper.ignite.framing import frame

GRPC = (("content-type", "application/grpc"),)


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and the means to answer it, well or badly."""

    connection: Connection
    stream_id: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    reset: asyncio.Event = field(default_factory=asyncio.Event)  # the client gave the stream up

    @property
    def path(self) -> str:
        return self.headers[":path"]

    @property
    def message(self) -> bytes:
        """The request message without its prefix."""
        return bytes(self.body[5:])

    async def open(self, *headers: tuple[str, str], status: int = 200, end: bool = False) -> None:
        """Send the answer's headers; a gRPC answer's where none are given."""
        self.connection.h2.send_headers(
            self.stream_id, [(":status", str(status)), *(headers or GRPC)], end_stream=end
        )
        await self.connection.flush()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send bytes of the body as the client's window allows."""
        connection = self.connection
        while data:
            window = connection.h2.local_flow_control_window(self.stream_id)
            size = min(window, len(data), connection.h2.max_outbound_frame_size)
            if size <= 0:
                connection.window.clear()
                await connection.window.wait()
                continue
            connection.h2.send_data(self.stream_id, data[:size])
            data = data[size:]
            await connection.flush()
        if end:
            connection.h2.end_stream(self.stream_id)
            await connection.flush()

    async def messages(self, *messages: bytes) -> None:
        """Send whole messages in one piece."""
        await self.send(b"".join(map(frame, messages)))

    async def close(self, status: int | str = 0, message: str = "", *more: tuple[str, str]) -> None:
        """Send the trailers."""
        trailers = [("grpc-status", str(status)), *([("grpc-message", message)] if message else []), *more]
        self.connection.h2.send_headers(self.stream_id, trailers, end_stream=True)
        await self.connection.flush()

    async def answer(self, *messages: bytes) -> None:
        """A whole answer that is well."""
        await self.open()
        await self.messages(*messages)
        await self.close()

    async def refuse(self, status: int | str, message: str = "", *more: tuple[str, str]) -> None:
        """Headers that are trailers too, as servers refuse at once."""
        texts = [("grpc-message", message)] if message else []
        await self.open(*GRPC, ("grpc-status", str(status)), *texts, *more, end=True)

    async def rst(self, code: int) -> None:
        """Break the stream with an HTTP/2 error code."""
        self.connection.h2.reset_stream(self.stream_id, code)
        await self.connection.flush()


Script = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Connection:
    """One client's connection."""

    server: H2Server
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h2: h2.connection.H2Connection
    open: dict[int, Exchange] = field(default_factory=dict)
    window: asyncio.Event = field(default_factory=asyncio.Event)
    deaf: asyncio.Event = field(default_factory=asyncio.Event)  # set: nothing is read or written any more

    async def flush(self) -> None:
        if not self.deaf.is_set():
            self.writer.write(self.h2.data_to_send())
            await self.writer.drain()

    async def raw(self, data: bytes) -> None:
        """Bytes that HTTP/2 knows nothing of."""
        self.writer.write(data)
        await self.writer.drain()

    async def goaway(self, last_stream_id: int | None = None, code: int = 0) -> None:
        """Ask for no further streams. `h2` would then refuse to send, so the frame is written by hand."""
        last = max(self.open, default=0) if last_stream_id is None else last_stream_id
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big")
        await self.raw(len(payload).to_bytes(3, "big") + b"\x07\x00\x00\x00\x00\x00" + payload)

    def abort(self) -> None:
        """Break the TCP connection."""
        self.writer.transport.abort()

    async def serve(self) -> None:
        self.h2.initiate_connection()
        async with asyncio.TaskGroup() as scripts:
            await self.flush()
            while data := await self.reader.read(65_536):
                if self.deaf.is_set():
                    continue
                for event in self.h2.receive_data(data):
                    self._take(event, scripts)
                await self.flush()
            for exchange in self.open.values():
                exchange.reset.set()
            raise ConnectionResetError

    def _take(self, event: h2.events.Event, scripts: asyncio.TaskGroup) -> None:
        match event:
            case h2.events.RequestReceived():
                headers = {str(name): str(value) for name, value in event.headers or ()}
                exchange = Exchange(self, event.stream_id or 0, headers)
                self.open[exchange.stream_id] = exchange
                self.server.exchanges.append(exchange)
                scripts.create_task(self._run(exchange), name=f"script {exchange.path}")
            case h2.events.DataReceived():
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                self.open[event.stream_id or 0].body += event.data or b""
            case h2.events.StreamEnded():
                self.open[event.stream_id or 0].complete.set()
            case h2.events.StreamReset():
                self.open[event.stream_id or 0].reset.set()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self.window.set()

    async def _run(self, exchange: Exchange) -> None:
        await exchange.complete.wait()
        with suppress(h2.exceptions.ProtocolError, ConnectionError):  # the client gave the stream up
            await self.server.script(exchange)


@dataclass(slots=True, eq=False)
class H2Server:
    """An async context manager on a free port of loopback. `script` answers each request in a task of its own.

    `settings` are sent as the server's SETTINGS; h2 enforces nothing of them, and states no cap by itself.
    """

    script: Script
    settings: dict[h2.settings.SettingCodes | int, int] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    connections: list[Connection] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    address: str = ""
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> H2Server:
        if self.tls is not None:
            self.tls.set_alpn_protocols(["h2"])
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self.connections:
            connection.abort()
        await asyncio.gather(*self._serving)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.address}"

    def paths(self) -> Sequence[str]:
        return [exchange.path for exchange in self.exchanges]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        protocol = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        protocol.local_settings = h2.settings.Settings(client=False, initial_values=self.settings)
        connection = Connection(self, len(self.connections), reader, writer, protocol)
        self.connections.append(connection)
        try:
            await connection.serve()
        except* (ConnectionError, h2.exceptions.ProtocolError):
            pass  # the client went, or a script broke the connection on purpose
        finally:
            self._serving.discard(task)
            writer.transport.abort()
