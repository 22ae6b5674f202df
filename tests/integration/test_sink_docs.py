"""What docs/sinks.md shows is right: its DuckDB queries run over a written archive, its YAML is a configuration."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
import yaml
from pydantic import TypeAdapter

from shipper.archive.codec import compress, encode_gap
from shipper.config.destinations import SinkSettings
from shipper.model import App, Batch, Codec, Gap, GapReason, Kind, Partition
from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink
from shipper.sinks.port import Delivered
from tests.integration.sink_conformance import NOW_MS, sealed

PAGE = Path("docs/sinks.md").read_text()
DAY = "2026-09-21"  # of NOW_MS


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
async def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of lines and a gap, in the folder `archive` of the working directory."""
    monkeypatch.chdir(tmp_path)
    sink = DirectorySink("local", DirectoryOptions(Path("archive")))
    await sink.open()
    one = sealed([["first", "second"], ["third"]], organization="acme-corp", app="checkout")
    partition = Partition(Kind.GAPS, "acme-corp", "checkout", one.batch.partition.hour)
    gap = Gap(NOW_MS, App("acme-corp", "checkout"), "r-1", Kind.LOGS, 0, NOW_MS, GapReason.ROTATED)
    gaps = Batch(2, "local", partition, "gap", Codec.ZSTD, 1, 1, NOW_MS, NOW_MS)
    assert isinstance(await sink.send(one.batch, one.frames), Delivered)
    assert isinstance(await sink.send(gaps, [compress(Codec.ZSTD, encode_gap(gap))]), Delivered)
    await sink.aclose()


@pytest.mark.usefixtures("archive")
def test_the_duckdb_queries_of_the_page_run_as_they_stand() -> None:
    queries = [block.replace("2026-11-23", DAY) for block in blocks("sql") if "read_json" in block]
    lines, sizes, gaps = (duckdb.sql(query).fetchall() for query in queries)
    assert sorted(row[-1] for row in lines) == ["first", "second", "third"]
    assert [(row[0], row[3], row[4]) for row in sizes] == [("checkout", 3, 16)]
    assert [row[4] for row in gaps] == ["rotated"]


def test_the_sinks_of_the_page_are_valid_configuration() -> None:
    settings: TypeAdapter[object] = TypeAdapter(SinkSettings)
    text = re.sub(r"\$\{[^}]*\}", "filled-in", "\n".join(blocks("yaml")))
    found = 0
    for block in re.findall(r"(?m)^  \w+:.*\n(?:    .*\n|\n)*", text):
        for section in yaml.safe_load(block).values():
            settings.validate_python(section)
            found += 1
    assert found == 7
