"""A headless Chromium that tests drive over its own protocol (https://chromedevtools.github.io/devtools-protocol/).

The program is what `SHIPPER_TEST_CHROMIUM` names, else a `chromium` in PATH.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def program() -> str | None:
    """Where Chromium is."""
    return os.environ.get("SHIPPER_TEST_CHROMIUM") or shutil.which("chromium")


@dataclass
class Page:
    """One tab. `complaints` are errors of scripts, of the console and of the content security policy; `requests` the
    addresses of everything that was asked for.
    """

    socket: ClientWebSocketResponse
    session: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self.socket.send_json(message | ({"sessionId": self.session} if self.session else {}))
        async with asyncio.timeout(30):
            return await answer

    async def open(self, url: str) -> None:
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        async with asyncio.timeout(30):
            await self._loaded.wait()

    async def eval(self, script: str) -> Any:
        """The value of an expression; a promise is waited for. An exception in it is a RuntimeError."""
        answer = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, script: str, within_s: float = 15.0) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(within_s):
            while not await self.eval(script):
                await asyncio.sleep(0.02)

    async def look(self, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """The size of the window and what its user prefers."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, file: Path) -> None:
        """The whole page as a PNG."""
        answer = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    async def listen(self) -> None:
        """Take what comes, until the browser ends."""
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                self._take(message.json())

    def _take(self, message: dict[str, Any]) -> None:
        answer = self._answers.pop(message.get("id", 0), None)
        if answer is not None:
            if "error" in message:
                answer.set_exception(RuntimeError(str(message["error"])))
            else:
                answer.set_result(message["result"])
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.complaints.append(parameters["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"dialog: {parameters['message']}")


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A browser with one tab; its profile lies in `folder`."""
    path = program()
    assert path is not None
    process = await asyncio.create_subprocess_exec(
        path, *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = await _address(folder, process)
        async with ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            page = Page(socket, "")
            listening = asyncio.create_task(page.listen(), name="browser")
            try:
                tab = await page.send("Target.createTarget", url="about:blank")
                attached = await page.send("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
                page.session = attached["sessionId"]
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _address(folder: Path, process: asyncio.subprocess.Process) -> str:
    """Where the browser listens: it writes that down in its profile."""
    written = folder / "DevToolsActivePort"
    async with asyncio.timeout(30):
        while not (written.exists() and len(lines := written.read_text().splitlines()) == 2):
            assert process.returncode is None, "chromium ended at once"
            await asyncio.sleep(0.02)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
