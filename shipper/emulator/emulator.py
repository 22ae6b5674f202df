"""An emulated Ignite in this process: the world, its ledger and its faults behind real ports."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import grpc

from shipper.emulator.build_service import BuildHandlers
from shipper.emulator.descriptors import Schema
from shipper.emulator.driver import Driver
from shipper.emulator.faults import Faults
from shipper.emulator.gateway import Gateway
from shipper.emulator.handlers import grpc_handler
from shipper.emulator.http_server import HttpServer
from shipper.emulator.http_style import HttpStyle
from shipper.emulator.ledger import Ledger
from shipper.emulator.reflection import ReflectionService
from shipper.emulator.scenario import Scenario
from shipper.emulator.server import Server
from shipper.emulator.service import ComputeService
from shipper.emulator.streams import Calls
from shipper.emulator.text import LineSource, generated_lines
from shipper.emulator.tokens import TokenEndpoint, Tokens
from shipper.emulator.world import EmulatedApp, World


class Emulator:
    """An async context manager; everything it starts ends with it. See the package's docstring for an example."""

    def __init__(self, scenario: Scenario | None = None, *, lines: LineSource | None = None) -> None:
        self.scenario = scenario = scenario or Scenario()
        self.ledger = Ledger(keep=scenario.keep_ledger)
        self.world = World(scenario, self.ledger)
        self.calls = Calls()
        self.faults = Faults(self.calls)
        self.tokens = Tokens(scenario)
        self.schema = Schema(scenario)
        service = ComputeService(self.world, self.schema, self.tokens, self.faults, self.calls)
        reflection = ReflectionService(
            self.schema.files,
            scenario.reflection,
            service.authorize if scenario.reflection_needs_token else service.admit_anyone,
            with_imports=scenario.reflection_with_imports,
        )
        self.handlers = [service.handlers()]
        if scenario.builds:
            self.handlers += BuildHandlers(self.world, self.schema, service).handlers()
        served = [grpc_handler(self.schema, handlers) for handlers in self.handlers]
        self._server = Server(scenario, [*served, *reflection.handlers()])
        self.gateway = Gateway(self.handlers, self.schema, scenario.http or HttpStyle())
        self._http = HttpServer(
            self.gateway, scenario.http_host or scenario.host, scenario.http_port, scenario.tls
        )
        self._endpoint = TokenEndpoint(self.tokens, scenario.host)
        self._lines = lines or generated_lines(scenario.seed)
        self.driver: Driver | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.stop_serving)
            await self.start_serving()
            if self.scenario.token_endpoint:
                await self._endpoint.start()
                stack.push_async_callback(self._endpoint.stop)
            if self.scenario.traffic is not None:
                self.driver = Driver(self.world, self.scenario.traffic, self._lines)
                group = await stack.enter_async_context(asyncio.TaskGroup())
                task = group.create_task(self.driver.run(), name="emulator-driver")
                stack.callback(task.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    @property
    def address(self) -> str:
        """HOST:PORT of the gRPC server."""
        return self._server.address

    @property
    def endpoint(self) -> str:
        """The address as a configuration names it: `grpc://` or, with TLS, `grpcs://`."""
        scheme = "grpcs" if self.scenario.tls is not None else "grpc"
        return f"{scheme}://{self.address}"

    @property
    def http_address(self) -> str:
        """HOST:PORT of the HTTP gateway, with `Scenario(http=HttpStyle())`."""
        return self._http.address

    @property
    def http_endpoint(self) -> str:
        """The same as a configuration names it: `http://` or, with TLS, `https://`."""
        return f"{'https' if self.scenario.tls is not None else 'http'}://{self.http_address}"

    @property
    def token_url(self) -> str:
        """Where client credentials are exchanged, with `Scenario(token_endpoint=True)`."""
        return self._endpoint.url

    def app(self, name: str) -> EmulatedApp:
        """The app of that name, created if there is none."""
        return self.world.add_app(name)

    async def stop_serving(self) -> None:
        """Take the ports down: connections break hard, new ones are refused. The world goes on."""
        await self._server.stop()
        await self._http.stop()

    async def start_serving(self) -> None:
        """Listen (again, on the same ports)."""
        await self._server.start()
        if self.scenario.http is not None:
            await self._http.start()

    async def reconnect(self) -> None:
        """A hard cut of every connection: down, and up again on the same port at once."""
        await self.stop_serving()
        await self.start_serving()

    def expire_tokens(self, *, cut_streams: bool = False) -> None:
        """Every issued token expires now. Whether the platform then cuts open streams is not documented: choose."""
        self.tokens.expire_all()
        if cut_streams:
            for stream in list(self.calls.open):
                if self.tokens.refusal(f"Bearer {stream.token}") is not None:
                    stream.cut = (grpc.StatusCode.UNAUTHENTICATED, "the token has expired")
                    stream.bell.set()
