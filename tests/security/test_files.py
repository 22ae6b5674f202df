"""What others on the machine can read, and where links that they plant lead."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shipper.archive.layout import object_key
from shipper.buffer import Buffer
from shipper.buffer.values import WhenFull
from shipper.control.place import NAME as SOCKET
from shipper.control.server import ControlServer
from shipper.errors import BufferUnavailable
from shipper.meter import Unmetered
from shipper.model import Codec
from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink
from shipper.sinks.port import Delivered
from tests.integration.sink_conformance import Sealed, sealed


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask 000", "umask 022", "umask 077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Buffer]:
    buffer = await Buffer.open(
        directory,
        max_size=64 << 20,
        when_full=WhenFull.BLOCK,
        sinks=["archive"],
        meter=Unmetered(),
        codec=Codec.ZSTD,
    )
    try:
        yield buffer
    finally:
        await buffer.close()


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def test_the_buffer_and_its_folder_are_for_their_owner_whatever_the_umask(
    tmp_path: Path, umask: int
) -> None:
    folder = tmp_path / "made" / "buffer"
    async with opened(folder):
        assert modes(folder).keys() >= {"buffer.sqlite3", "buffer.sqlite3-wal", "shipper.lock"}
        assert set(modes(folder).values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_buffer_that_others_could_read_is_closed_to_them_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a copy of one. Rights of the group, which Kubernetes gives by fsGroup, stay."""
    async with opened(tmp_path):
        pass
    (tmp_path / "buffer.sqlite3").chmod(0o664)
    async with opened(tmp_path):
        assert modes(tmp_path)["buffer.sqlite3"] == 0o660
    assert "every user of this machine could open" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "shipper.lock",
        "buffer.sqlite3",
        "buffer.sqlite3-wal",
        "buffer.sqlite3.building",
        "buffer.sqlite3.salvaged",
    ],
)
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
async def test_a_link_in_the_buffers_folder_is_refused_and_what_it_leads_to_is_left_alone(
    tmp_path: Path, name: str, there: bool
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "buffer"
    folder.mkdir()
    if there:
        victim.write_text("precious")
        victim.chmod(0o644)
    (folder / name).symlink_to(victim)
    with pytest.raises(BufferUnavailable, match="is a link"):
        async with opened(folder):
            pass
    assert victim.exists() is there
    if there:
        assert victim.read_text() == "precious"
        assert stat.S_IMODE(victim.stat().st_mode) == 0o644


async def test_a_folder_that_is_a_link_itself_is_the_operators_choice(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "buffer").symlink_to("disk")
    async with opened(tmp_path / "buffer"):
        assert (tmp_path / "disk" / "buffer.sqlite3").exists()


async def test_a_link_in_place_of_the_control_socket_is_removed_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    (tmp_path / SOCKET).symlink_to(victim)
    server = asyncio.create_task(ControlServer(tmp_path, {}).run(), name="control")
    async with asyncio.timeout(5):
        while not stat.S_ISSOCK((tmp_path / SOCKET).lstat().st_mode):
            await asyncio.sleep(0)
    server.cancel()
    await asyncio.wait({server})
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644


# ---- the archive on a disk ----


async def archived(root: Path, one: Sealed) -> Path:
    sink = DirectorySink("local", DirectoryOptions(root))
    await sink.open()
    try:
        assert isinstance(await sink.send(one.batch, one.frames), Delivered)
    finally:
        await sink.aclose()
    return root / object_key("", one.batch.partition, one.batch.name, Codec.ZSTD)


@pytest.mark.parametrize("same", [True, False], ids=["same content", "other content"])
async def test_a_link_in_place_of_an_archive_file_is_never_written_through(
    tmp_path: Path, same: bool
) -> None:
    one = sealed()
    content = b"".join(one.frames) if same else b"precious"
    victim, root = tmp_path / "victim", tmp_path / "archive"
    victim.write_bytes(content)
    target = root / object_key("", one.batch.partition, one.batch.name, Codec.ZSTD)
    target.parent.mkdir(parents=True)
    target.symlink_to(victim)
    await archived(root, one)
    assert victim.read_bytes() == content
    assert not target.is_symlink()
    assert target.read_bytes() == b"".join(one.frames)


async def test_a_folder_of_the_archive_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    """Operators move hours to other disks; only who may write into the archive can make such a link."""
    (tmp_path / "other").mkdir()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "kind=logs").symlink_to(tmp_path / "other")
    target = await archived(tmp_path / "archive", sealed())
    assert target.resolve().is_relative_to(tmp_path / "other")
