"""What apps print and what things are called stays text: it forges no field, ends no record, drives no terminal."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from rich.console import Console

from shipper import cli
from shipper.archive.codec import LogIdentity, compress, decode, encode_log_run
from shipper.archive.layout import object_key
from shipper.config.interpolation import expand
from shipper.control import tap, top_view
from shipper.control.showing import json_of, line_of, page_of
from shipper.daemon import trying
from shipper.errors import ShipperError
from shipper.model import Batch, Codec, DeadLetter, Kind, Partition
from shipper.sinks.datadog.labels import rendered, tag
from shipper.sinks.directory.sink import place
from shipper.sinks.port import Delivered
from shipper.sinks.stdout import StdoutSink
from shipper.telemetry.log import configure
from shipper.telemetry.status import status
from tests.fakes.facts import facts
from tests.integration.sink_conformance import HOSTILE_NAMES

HOSTILE = {
    "newline": 'a\n{"timestamp_ms":1,"app":"forged"}',
    "carriage return": "paid\rrefused",
    "line separator": "a\u2028b\u2029c\u0085d",
    "nul": "a\0b",
    "end of the field": '","app":"forged","line":"',
    "end of the record": '"}\n{"app":"forged"}',
    "backslash": 'a\\"b\\',
    "colours": "\x1b[31mred\x1b[0m",
    "clear the screen": "\x1b[2J\x1b[H",
    "title (OSC)": "\x1b]0;forged\x07",
    "clipboard (OSC 52)": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "link (OSC 8)": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;forged\x9c",
    "device control": "\x1bP$q\x1b\\\x90x\x9c",
    "backspace": "safe\b\b\b\bevil",
    "delete": "a\x7fb",
    "turned around": "\u202egnp.exe\u2066x\u2069\u200f\u061c",
    "byte order mark": "\ufeffa",
    "csv formula": '=HYPERLINK("http://evil.example","a")',
    "csv cells": 'a,b;c\td"',
    "html": "<script>alert(1)</script>",
    "template": "{app} {0} %s %(app)s ${HOME} ${file:/etc/passwd} $$",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def obeyed(text: str) -> list[str]:
    """What a terminal would take for more than a character; \\n ends a line and is counted elsewhere."""
    return [char for char in text if not char.isprintable() and char not in "\n "]


def ndjson(text: str) -> bytes:
    """One archived line that says `text`, of a replica that is called so too."""
    identity = LogIdentity("acme", "checkout", text, "", "")
    return encode_log_run(identity, [1_790_000_000_000], ["stdout"], [text])


# ---- the archive ----


@hostile
def test_a_line_is_one_record_with_its_own_fields_and_no_other(text: str) -> None:
    data = ndjson(text)
    assert data.count(b"\n") == 1
    assert data.endswith(b"}\n")
    assert b"\r" not in data
    assert b"\0" not in data
    (record,) = decode(data)
    assert (record["app"], record["organization"], record["replica_id"]) == ("checkout", "acme", text)
    assert record["line"] == text
    pairs = json.loads(data, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    assert len(pairs) == len(set(pairs))  # a second "app" would win in some readers


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, *HOSTILE.values()])
def test_no_name_leaves_its_folder_or_makes_another(name: str, tmp_path: Path) -> None:
    key = object_key("ignite", Partition(Kind.LOGS, name, name, 497_222), "name", Codec.ZSTD)
    parts = key.split("/")
    assert [part.partition("=")[0] for part in parts[1:6]] == ["kind", "org", "app", "dt", "hour"]
    assert len(parts) == 7
    assert key.isascii()
    assert key.isprintable()
    assert place(tmp_path, key).resolve().is_relative_to(tmp_path)


# ---- terminals ----


async def printed(data: bytes) -> str:
    """What the stdout sink prints of a frame."""
    end, start = os.pipe()
    sink = StdoutSink("debug", start)
    batch = Batch(1, "debug", Partition(Kind.LOGS, "a", "b", 0), "name", Codec.ZSTD, 1, 1, 0, 0)
    try:
        assert await sink.send(batch, [compress(Codec.ZSTD, data)]) == Delivered()
        return (await asyncio.to_thread(os.read, end, 1 << 20)).decode()
    finally:
        await sink.aclose()
        os.close(start)
        os.close(end)


@hostile
async def test_the_stdout_sink_prints_json_of_the_same_meaning_that_no_terminal_obeys(text: str) -> None:
    data = ndjson(text)
    out = await printed(data)
    assert obeyed(out) == []
    assert out.count("\n") == 1
    assert orjson.loads(out) == orjson.loads(data)


@hostile
def test_dead_letters_are_shown_in_lines_that_no_terminal_obeys(text: str) -> None:
    partition = Partition(Kind.LOGS, text, text, 0)
    letter = DeadLetter("errors", partition, 0, 0, text, ndjson(text), 1)
    page = list(page_of(letter))
    for line in (line_of(letter), *page, json_of(letter)):
        assert obeyed(line) == []
        assert "\n" not in line
    labels = [line[:10].strip() for line in page]
    assert labels == ["letter", "sink", "app", "kind", "record of", "refused", "answer", "record"]


@hostile
@pytest.mark.parametrize("kind", ["logs", "events", "builds", "gaps"])
def test_what_tap_shows_is_a_line_that_no_terminal_obeys(text: str, kind: str) -> None:
    names = (
        "app",
        "replica_id",
        "stream",
        "line",
        "kind",
        "reason",
        "message",
        "stream_kind",
        "detail",
        "lost",
    )
    record = {"timestamp_ms": 1_790_000_000_000, **dict.fromkeys(names, text)}
    for line in (tap._text(kind, record), tap._json(kind, record)):
        assert obeyed(line) == []
        assert "\n" not in line


def everywhere(value: Any, text: str) -> Any:
    """The same answer of /api/status with `text` behind everything that is called something."""
    if isinstance(value, dict):
        return {name: everywhere(inner, text) for name, inner in value.items()}
    if isinstance(value, list):
        return [everywhere(inner, text) for inner in value]
    is_name = isinstance(value, str) and not re.fullmatch(r"[0-9T:.Z+-]*", value)
    return f"{value}{text}" if is_name else value


@hostile
def test_what_top_shows_drives_no_terminal(text: str) -> None:
    said = everywhere(status(facts()), text)
    for picture in (top_view.picture(said, 200, 60), top_view.everything(said)):
        console = Console(file=io.StringIO(), width=200, no_color=True, force_terminal=False)
        console.print(picture)
        assert obeyed(console.file.getvalue()) == []  # type: ignore[attr-defined]


@hostile
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_daemons_log_says_one_line_with_fields_that_nobody_forged(text: str, form: str) -> None:
    stream = io.StringIO()
    log = configure(form, "info", stream=stream)
    try:
        extra = {"app": f"acme/{text}", "replica": text, "sink": "archive", "error": text}
        logging.getLogger("shipper.collect").warning("lost %s", text, extra=extra)
    finally:
        log.close()
    out = stream.getvalue()
    assert out.count("\n") == 1
    assert obeyed(out) == []
    if form == "json":
        said: dict[str, Any] = json.loads(out)
        assert (said["level"], said["sink"], said["replica"]) == ("warn", "archive", text)


@hostile
def test_what_a_command_says_of_a_servers_answer_drives_no_terminal(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def report(settings: object) -> list[tuple[str, bool, str]]:
        return [("ListAppReplicas", True, text)]

    def failing(arguments: object) -> int:
        raise ShipperError(text)

    monkeypatch.setattr(trying, "connect_report", report)
    assert cli._connect(SimpleNamespace()) == cli.DONE  # type: ignore[arg-type]
    monkeypatch.setattr(cli, "schema", failing)
    assert cli.main(["schema"]) == cli.FAILED
    seen = capsys.readouterr()
    for out in (seen.out, seen.err):
        assert out.count("\n") == 1
        assert obeyed(out) == []


# ---- templates and references ----


@hostile
def test_a_name_in_a_template_is_text_and_never_filled_in_again(text: str) -> None:
    assert rendered("{app}", {"app": text, "organization": "acme"}) == text.strip()


@hostile
def test_a_name_is_one_tag(text: str) -> None:
    assert "," not in tag("app", text)
    assert not any(char.isspace() and char.isascii() for char in tag("app", text))


def test_what_a_reference_brings_is_never_read_for_further_references(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("${HOME} ${file:/etc/passwd} $$")
    environment = {"NAME": "${HOME} ${file:/etc/passwd} $$", "HOME": "/root"}
    assert expand("${NAME}", environment).text == environment["NAME"]
    assert expand(f"${{file:{tmp_path}/secret}}", environment).text == environment["NAME"]
    assert expand("${NONE:-$HOME}", environment).text == "$HOME"
