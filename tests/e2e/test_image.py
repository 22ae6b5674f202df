"""The image works as Kubernetes runs it: not as root, on a read-only root file system, without capabilities.

`SHIPPER_TEST_IMAGE` names a folder with the image's root file system, which `.ci/image` builds from the Dockerfile.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shipper.emulator import Emulator
from shipper.emulator.ledger import compare
from tests.e2e.daemon_process import Shipper, printed, records_under

IMAGE = os.environ.get("SHIPPER_TEST_IMAGE", "")
TOOLS = ("unshare", "chroot", "mount")

pytestmark = pytest.mark.skipif(
    not IMAGE or os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
    reason="SHIPPER_TEST_IMAGE names no image, or this is not root: .ci/image builds one where buildah is",
)

# What a pod's security context asks for: readOnlyRootFilesystem, runAsNonRoot, drop ALL, no new privileges.
_POD = """
set -e
mount --make-rprivate /
mount --rbind "$IMAGE" "$IMAGE"
mount -t proc proc "$IMAGE/proc"
mount --bind /dev "$IMAGE/dev"
mount -t tmpfs tmpfs "$IMAGE/tmp"
mount --bind "$VOLUME" "$IMAGE/var/lib/shipper"
mount --bind "$CONFIG" "$IMAGE/etc/shipper"
mount -o remount,bind,ro "$IMAGE/etc/shipper"
mount -o remount,bind,ro "$IMAGE"
exec env -i PATH=/opt/shipper/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin HOME=/tmp PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 chroot "$IMAGE" setpriv --reuid 65532 --regid 65532 --clear-groups \
    --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


@dataclass(frozen=True)
class Pod:
    """The image's root with a volume and a configuration mounted into it."""

    volume: Path
    config: Path

    @asynccontextmanager
    async def running(self, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The command as process 1 of its own namespaces; ended with them, whatever happens."""
        process = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _POD, "sh", *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={
                "PATH": os.environ["PATH"],
                "IMAGE": IMAGE,
                "VOLUME": str(self.volume),
                "CONFIG": str(self.config),
            },
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(self, *command: str) -> tuple[int | None, str]:
        """Exit status and output."""
        async with self.running(*command) as process:
            output, _ = await asyncio.wait_for(process.communicate(), 30)
            return process.returncode, output.decode()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    volume, config = tmp_path / "volume", tmp_path / "config"
    volume.mkdir()
    os.chown(volume, 65532, 65532)
    config.mkdir()
    for folder in (tmp_path, config):
        folder.chmod(0o755)
    return Pod(volume, config)


def image_configuration() -> dict[str, Any]:
    return json.loads(Path(f"{IMAGE}.json").read_text())["OCIv1"]["config"]


def test_the_entry_point_is_shipper_and_the_user_is_not_root() -> None:
    config = image_configuration()
    assert config["Entrypoint"] == ["shipper"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == "shipper"
    assert len(config["Labels"]["org.opencontainers.image.revision"]) == 40
    assert "Healthcheck" not in config


def test_nothing_of_the_build_is_left() -> None:
    root = Path(IMAGE)
    assert not [name for name in ("src", "requirements.txt") if (root / name).exists()]
    for name in ("gcc", "cc", "make", "git"):
        assert not (root / "usr/bin" / name).exists()
    packages = next((root / "opt/shipper/lib").glob("python3*/site-packages"))
    assert not (packages / "pip").exists()
    assert not list(root.glob("root/.cache/*"))


def test_what_the_image_is_made_of_is_listed_in_it() -> None:
    root = Path(IMAGE)
    listed = json.loads((root / "opt/shipper/sbom.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == "shipper"
    packages = next((root / "opt/shipper/lib").glob("python3*/site-packages"))
    there = {
        line.partition(": ")[2].strip().lower().replace("_", "-")
        for metadata in packages.glob("*.dist-info/METADATA")
        for line in metadata.read_text().splitlines()
        if line.startswith("Name: ")
    }
    named = {component["name"].lower().replace("_", "-") for component in listed["components"]}
    assert there - named <= {"shipper"}
    assert {"aiohttp", "orjson", "zstandard"} <= named
    assert not root.joinpath("opt/sbom").exists()


async def test_it_has_no_capabilities_no_root_and_nothing_to_write_to_but_its_volume(pod: Pod) -> None:
    status, output = await pod.run(
        "sh",
        "-c",
        "id -u; grep CapEff /proc/self/status; touch /opt/shipper/x; touch /var/lib/shipper/ok && echo wrote",
    )
    assert status == 0
    assert "65532" in output
    assert "CapEff:\t0000000000000000" in output
    assert "Read-only file system" in output
    assert output.rstrip().endswith("wrote")


async def test_a_wrong_configuration_is_told_with_exit_status_2(pod: Pod) -> None:
    (pod.config / "config.yaml").write_text("ignite: {endpont: grpc://127.0.0.1:1}\n")
    status, output = await pod.run("shipper", "check", "--config", "/etc/shipper/config.yaml")
    assert status == 2
    assert "endpoint" in output


async def test_it_archives_and_drains_on_sigterm(pod: Pod, tmp_path: Path) -> None:
    async with Emulator() as ignite:
        replica = ignite.app("checkout").start_replica()
        replica.print_all([f"line {number}" for number in range(2_000)])
        daemon = Shipper(pod.config, ignite.endpoint)
        text = daemon.write().read_text()
        inside = text.replace(str(daemon.archive), "/var/lib/shipper/archive").replace(
            str(pod.config / "buffer"), "/var/lib/shipper/buffer"
        )
        (pod.config / "shipper.yaml").unlink()
        path = pod.config / "config.yaml"
        path.write_text(inside)
        os.chown(path, 65532, 65532)
        path.chmod(0o600)
        async with pod.running("shipper", "run", "--config", "/etc/shipper/config.yaml") as process:
            await daemon.until(received(2_000))
            os.kill(_first_child(process.pid), signal.SIGTERM)
            output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, output.decode()
        assert "drained" in output.decode()
        lines = [printed(record) for record in records_under(pod.volume / "archive", "logs")]
        assert compare(ignite.ledger.counter(), lines).equal


def received(count: int) -> Callable[[dict[str, float]], bool]:
    return lambda seen: seen.get('shipper_records_received_total{kind="logs"}', 0) >= count


def _first_child(pid: int) -> int:
    """Process 1 of the namespace, as this machine numbers it."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
