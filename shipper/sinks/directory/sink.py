"""The sink that lays the archive out under a folder of a local or mounted disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from shipper.archive.layout import object_key
from shipper.errors import ArchiveDamaged
from shipper.model import Batch, Codec
from shipper.sinks.body import body_of
from shipper.sinks.directory.disk import Folders, Written, make_root, probe, sweep, write_durably
from shipper.sinks.directory.refusals import refusal
from shipper.sinks.port import Delivered, Outcome, Rejected, Retry

_LOG: Final = logging.getLogger("shipper.sinks")
_CHECK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class DirectoryOptions:
    """Where, and how compressed. A relative `path` is relative to the folder that the process was started in."""

    path: Path
    compression: Codec = Codec.ZSTD
    concurrency: int = 4


class DirectorySink:
    """Writes each batch as one file. Implements `sinks.port.Sink`.

    What was answered with Delivered survives a power cut, as far as the disk keeps its promises. Disk work
    runs in threads of its own: a disk that hangs stops this sink and nothing else. A cancelled `send` may
    still write its file; sent again it ends in the same file.
    """

    def __init__(self, name: str, options: DirectoryOptions) -> None:
        self.name = name
        self.concurrency = options.concurrency
        self._root: Final = options.path.absolute()
        self._codec: Final = options.compression
        self._folders: Final = Folders(self._root)
        self._stop: Final = Event()
        self._root_made = False
        self._threads: Final = ThreadPoolExecutor(options.concurrency + 1, thread_name_prefix=f"sink-{name}")
        self.swept: Future[int] | None = None

    async def open(self) -> None:
        """Make the root, and start to look for what a crash left. A disk that refuses now is only warned of."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._make_root)
        except OSError as error:
            failed = refusal(error, self._root).reason
            _LOG.warning("%s; tried again with each batch", failed, extra={"sink": self.name})
            return
        # The archive may have a million folders: nobody waits for this.
        self.swept = self._threads.submit(self._sweep)

    async def send(self, batch: Batch, frames: Sequence[bytes]) -> Outcome:
        """Write the file; see the port. Without a time limit: a write to a disk that hangs cannot be called back."""
        key = object_key("", batch.partition, batch.name, self._codec)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._write, batch, frames, key
        )

    async def check(self) -> Outcome:
        """Make a temporary file in the root and remove it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await loop.run_in_executor(self._threads, self._probe)
        except TimeoutError:
            return Retry(f"{self._root} did not answer within {_CHECK_SECONDS:.0f} s: does the disk hang?")
        except OSError as error:
            return refusal(error, self._root)
        return Delivered(f"{self._root} can be written")

    async def aclose(self) -> None:
        """Let go of the threads; one that hangs in the disk is not waited for."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_root(self) -> None:
        make_root(self._root)
        self._root_made = True

    def _probe(self) -> None:
        self._make_root()
        probe(self._root)

    def _write(self, batch: Batch, frames: Sequence[bytes], key: str) -> Outcome:
        extra = {"sink": self.name, "key": key}
        try:
            target = place(self._root, key)
            if (
                not self._root_made
            ):  # once only: a root that vanishes later is an unmounted volume, not ours to make
                self._make_root()
            written = write_durably(target, list(body_of(batch, frames, self._codec)), self._folders)
        except OSError as error:
            return refusal(error, self._root)
        except (ArchiveDamaged, ValueError) as error:
            return Rejected(f"batch {batch.name} cannot be written: {error}")
        if written is Written.REPLACED:
            _LOG.warning("replaced a file of the same name that had other content: %s", target, extra=extra)
        return Delivered("it was there already" if written is Written.SAME else "")

    def _sweep(self) -> int:
        removed = sweep(self._root, self._stop)
        if removed:
            _LOG.warning(
                "removed %d temporary file(s) that an earlier crash left under %s",
                removed,
                self._root,
                extra={"sink": self.name},
            )
        return removed


def place(root: Path, key: str) -> Path:
    """The path of a key below the root. Raises ValueError for a key that would leave it.

    The layout's escaping makes such a key impossible; this is the second lock on the same door.
    """
    if any(part in ("", ".", "..") or "\0" in part for part in key.split("/")):
        raise ValueError(f"the key {key!r} is not a path below the archive's root")
    return root / key
