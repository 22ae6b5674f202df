"""The directory sink on a real disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink
from tests.integration.sink_conformance import ArchiveSinkContract


@dataclass(frozen=True, slots=True)
class DirectoryHarness:
    root: Path
    sink: DirectorySink
    prefix: str = ""

    def objects(self) -> Mapping[str, bytes]:
        files = [path for path in self.root.parent.rglob("*") if not path.is_dir()]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


class TestDirectorySink(ArchiveSinkContract):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[DirectoryHarness]:
        root = tmp_path / "mounted" / "archive"
        sink = DirectorySink("local", DirectoryOptions(root))
        await sink.open()
        yield DirectoryHarness(root, sink)
        await sink.aclose()
