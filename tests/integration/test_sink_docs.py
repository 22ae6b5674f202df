"""What docs/sinks.md shows is right: its DuckDB queries run over a written archive, its YAML is a configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import orjson
import pytest
import yaml
from pydantic import TypeAdapter

from shipper.archive.codec import compress, encode_gap
from shipper.archive.layout import hour_of
from shipper.config.destinations import SinkSettings
from shipper.config.load import load
from shipper.model import App, Batch, Codec, Gap, GapReason, Kind, Partition
from shipper.sinks.datadog.body import Body
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.datadog.sink import DatadogSink
from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink
from shipper.sinks.port import Delivered
from shipper.transform.building import build_pipeline
from tests.fakes import sentry_examples
from tests.fakes.sentry_packer import Packing, events_of, logs_of
from tests.integration.sink_conformance import NOW_MS, sealed

PAGE = Path("docs/sinks.md").read_text()
DAY = "2026-09-21"  # of NOW_MS
CHECKOUT = Partition(Kind.LOGS, "acme-corp", "checkout", hour_of(NOW_MS))


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
    text = "\n".join(blocks("yaml")).replace("${SENTRY_DSN}", "https://key@o1.ingest.sentry.io/7")
    text = re.sub(r"\$\{[^}]*\}", "filled-in", text)
    found = 0
    for block in re.findall(r"(?m)^  \w+:.*\n(?:    .*\n|\n)*", text):
        for section in yaml.safe_load(block).values():
            settings.validate_python(section)
            found += 1
    assert found == len(re.findall(r"(?m)^    type: \w+|^  \w+: \{type: \w+", text)) > 0


def test_the_datadog_log_of_the_page_is_what_its_record_becomes(tmp_path: Path) -> None:
    """By the pipeline and the sink of the page's own configuration, with lines that are read."""
    file = tmp_path / "shipper.yaml"
    (sinks,) = (block for block in blocks("yaml") if "type: datadog" in block)
    ignite = "ignite: {endpoint: grpcs://h, organization: acme-corp, auth: {type: none}}\n"
    file.write_text(f"{ignite}read: [{{app: '*', json: true}}]\n{sinks}")
    settings = load(file, {"DD_API_KEY": "key"})
    (record,), (log,) = blocks("json datadog-record"), blocks("json datadog-log")
    step = build_pipeline(settings, "search").start(CHECKOUT, b"")
    sink = DatadogSink("search", DatadogOptions.of(settings.sinks["search"]), lambda: NOW_MS / 1000)  # type: ignore[arg-type]
    (parcel,) = sink.pack(CHECKOUT, [*step.feed(record.encode()), *step.flush()])
    assert isinstance(parcel.body, Body)
    assert orjson.loads(parcel.body.data) == [orjson.loads(log)]


def test_the_sentry_log_and_event_of_the_page_are_what_their_records_become() -> None:
    (log,), (event,) = blocks("json sentry-log"), blocks("json sentry-event")
    packing = Packing(sentry_examples.OPTIONS)
    assert logs_of(packing.pack([sentry_examples.LOG])) == [json.loads(log)]
    (sent,) = events_of(packing.pack([sentry_examples.TRACEBACK]))
    shown = json.loads(event)
    assert sent["contexts"].items() >= shown.pop("contexts").items()
    assert {name: sent[name] for name in shown} == shown


def test_the_titles_of_the_sentry_table_are_what_events_are_called() -> None:
    (event,) = events_of(Packing().pack([sentry_examples.EVENT]))
    assert f"`{event['logentry']['formatted']}`" in PAGE
