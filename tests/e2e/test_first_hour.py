"""What somebody gets wrong in the first hour: each message says what is wrong, where, and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from shipper.cli import main
from shipper.emulator import Emulator
from tests.e2e.conftest import Make

REFUSALS = {"nowhere": (404, "NoSuchBucket"), "forbidden": (403, "AccessDenied")}


@dataclass(frozen=True, slots=True)
class First:
    """What a first configuration says."""

    endpoint: str
    store: str
    token: str = "emulator-token"
    organization: str = "acme-corp"
    bucket: str = "acme-logs"
    buffer: str = "buffer"
    telemetry: str = "127.0.0.1:0"
    more: str = ""

    def write(self, folder: Path) -> Path:
        path = folder / "shipper.yaml"
        path.write_text(f"""
ignite:
  endpoint: {self.endpoint}
  organization: {self.organization}
  auth: {{type: token, token: "{self.token}"}}
buffer: {{path: {folder / self.buffer}, max_size: 64MiB}}
sinks:
  archive:
    type: s3
    bucket: {self.bucket}
    region: eu-central-1
    endpoint_url: {self.store}
    access_key_id: key
    secret_access_key: secret
    batch: {{max_age: 200ms}}
telemetry: {{listen: "{self.telemetry}"}}
shutdown: {{timeout: 2s}}
{self.more}
""")
        path.chmod(0o600)
        return path


@asynccontextmanager
async def store() -> AsyncIterator[str]:
    """An S3 store that has one bucket, and one that nobody may write."""

    async def answer(request: web.Request) -> web.Response:
        bucket = request.path.split("/")[1]
        status, code = REFUSALS.get(bucket, (200, ""))
        if not code:
            return web.Response(headers={"ETag": '"0"'})
        if bucket == "forbidden" and request.method == "HEAD":  # it may be looked at
            return web.Response()
        text = f"<Error><Code>{code}</Code><Message>refused</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def said(command: str, config: Path, *options: str, within_s: float = 60.0) -> tuple[int, str]:
    """The exit status of a command and all that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shipper", command, "--config", str(config), *options,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=config.parent,
    )  # fmt: skip
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), within_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.fixture
async def first() -> AsyncIterator[First]:
    """A configuration that works."""
    async with Emulator() as ignite, store() as s3:
        ignite.app("checkout").start_replica().print("hello")
        yield First(ignite.endpoint, s3)


CONNECTING = {
    "nothing": ({}, 0, ("ok      platform", "ok      sink archive")),
    "a wrong token": ({"token": "wrong"}, 1, ("FAILED  platform: UNAUTHENTICATED", "check ignite.auth")),
    "another organization": (
        {"organization": "acme"},
        1,
        ("FAILED  ListApps: NOT_FOUND", "check ignite.organization"),
    ),
    "apps that are not there": (
        {"more": "apps: {include: ['chekout*']}"},
        1,
        ("FAILED  apps: none of the 1 that are listed is selected", "check apps.include"),
    ),
    "a port where nobody listens": (
        {"endpoint": "grpc://127.0.0.1:1"},
        1,
        ("nobody listens there", "check host and port of ignite.endpoint"),
    ),
    "TLS where there is none": ({"endpoint": "tls"}, 1, ("does not speak TLS", "write grpc://")),
    "a bucket that is not there": (
        {"bucket": "nowhere"},
        1,
        ("FAILED  sink archive: bucket nowhere", "make the bucket, or correct `bucket`"),
    ),
    "a file in place of the buffer's folder": (
        {"buffer": "shipper.yaml/buffer"},
        1,
        ("FAILED  buffer:", "correct buffer.path"),
    ),
}


@pytest.mark.parametrize("mistake", CONNECTING)
async def test_check_connect_says_what_is_wrong_and_what_to_do(
    mistake: str, first: First, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes, status, words = CONNECTING[mistake]
    if changes.get("endpoint") == "tls":
        changes = {"endpoint": first.endpoint.replace("grpc://", "grpcs://")}
    config = replace(first, **changes).write(tmp_path)
    # In this process: the others here show that the program is the same, and starting it is what takes long.
    ended = await asyncio.to_thread(main, ["check", "--config", str(config), "--connect"])
    printed = "".join(capfd.readouterr())
    assert [word for word in words if word not in printed] == [], printed
    assert ended == status, printed
    assert printed.count("FAILED") == status, "one mistake is one failure: what follows from it is not tried"


async def test_the_names_of_settings_are_checked_before_anything_starts(first: First, tmp_path: Path) -> None:
    config = replace(first, more="telemetri: {listen: none}\nlog: {levle: info}").write(tmp_path)
    status, printed = await said("run", config)
    assert status == 2
    assert f"{config}:18:1: telemetri: unknown key; did you mean telemetry?" in printed
    assert f"{config}:19:7: log.levle: unknown key; did you mean level?" in printed
    assert "2 errors" in printed


async def test_a_bucket_that_nobody_may_write_parks_the_sink_and_names_the_permission(
    first: First, tmp_path: Path, shipper: Make
) -> None:
    """A check writes nothing, so this shows with the first batch: it says so."""
    config = replace(first, bucket="forbidden").write(tmp_path)
    _, printed = await said("check", config, "--connect")
    assert "whether objects may be put" in printed
    daemon = shipper(first.endpoint)
    daemon.sinks = config.read_text().split("sinks:\n")[1].split("telemetry:")[0]
    await daemon.start()
    told = await daemon.until_said("the sink takes nothing until someone acts.*", within_s=60)
    assert "answered AccessDenied 403" in told
    assert "s3:PutObject" in told
    assert await daemon.stop() == 0
    assert "records remain in the buffer" in daemon.said()


async def test_a_port_that_is_taken_is_named_with_its_setting(first: First, tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        listen = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
        status, printed = await said("run", replace(first, telemetry=listen).write(tmp_path))
    assert status == 1
    assert (
        f"telemetry.listen: cannot listen on {listen}: Address already in use; free that address" in printed
    )


@contextmanager
def small(folder: Path) -> Iterator[None]:
    """A volume of half a megabyte at a folder."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small volume")
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_volume_that_is_too_small_is_told_before_and_while_it_runs(
    first: First, tmp_path: Path, shipper: Make
) -> None:
    daemon = shipper(first.endpoint, settings="shutdown: {timeout: 2s}")
    daemon.sinks = first.write(tmp_path).read_text().split("sinks:\n")[1].split("telemetry:")[0]
    with small(daemon.folder / "buffer"):
        status, printed = await said("check", daemon.write(), "--connect")
        assert status == 1
        assert "FAILED  buffer" in printed
        assert "free some space on its volume, or set buffer.path" in printed
        await daemon.start()
        told = await daemon.until_said("buffer cannot be written: streams are held back.*", within_s=60)
        assert "free some space" in told
        assert await daemon.stop() == 0, daemon.said()
    assert "drained: everything that is in the buffer is delivered" in daemon.said()
