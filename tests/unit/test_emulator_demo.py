"""The parts of the demo that need no daemon: where it writes, what it shows, how it reads an archive back."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest
import zstandard
from rich.console import Console

from shipper.emulator import Emulator, Printed, Scenario
from shipper.emulator import demo as demo_module
from shipper.emulator.demo_archive import built_lines, measure, printed_lines
from shipper.emulator.demo_daemon import parse
from shipper.emulator.demo_view import AppRow, PlainView, Pod, Snapshot, picture, size
from shipper.emulator.ledger import Built
from shipper.emulator.mischief import DEMO_PLAN, Mischief

SNAPSHOT = Snapshot(
    phase="running",
    elapsed_s=7.5,
    duration_s=20,
    apps=(
        AppRow("checkout", (Pod("x7k2p", "running", 0), Pod("9qzwm", "stalled", 2)), 12_345, 811.4),
        AppRow("mailer", (), 17, 0),
    ),
    printed=12_362,
    delivered=11_000,
    object_bytes=120_000,
    daemon_up=True,
    feed=((0, "checkout-x7k2p crashed"), (1, "all streams cut (4)")),
)


def test_a_first_run_writes_into_the_directory_and_later_ones_beside_it(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert demo_module.workspace(output) == output
    (output / "kind=logs").mkdir()
    assert demo_module.workspace(output) == output / "run-2"
    assert demo_module.workspace(output) == output / "run-3"


def drawn(width: int, height: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(picture(SNAPSHOT, width, height))
    return console.export_text()


def test_the_picture_shows_what_the_snapshot_says() -> None:
    text = drawn(110, 40)
    for piece in (
        "checkout",
        "x7k2p",
        "9qzwm×2",
        "scaled to zero",
        "12,362",
        "11,000",
        "117.2 KiB",
        "all streams cut",
    ):
        assert piece in text


@pytest.mark.parametrize(("width", "height"), [(110, 40), (100, 24), (80, 24)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    lines = drawn(width, height).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    assert "12,362" in "".join(lines)
    assert any("checkout" in line and "●" in line for line in lines)


def test_plain_lines_tell_each_piece_of_news_once(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainView() as view:
        view.show(SNAPSHOT)
        view.show(SNAPSHOT)
    out = capsys.readouterr().out
    assert out.count("all streams cut") == 1
    assert out.count("printed 12,362") == 1


def test_an_archive_is_read_back_across_the_frames_of_an_object(tmp_path: Path) -> None:
    folder = tmp_path / "kind=logs" / "org=o" / "app=a"
    folder.mkdir(parents=True)
    record = {"timestamp_ms": 5, "app": "a", "replica_id": "r", "stream": "stderr", "line": "x\u2028y"}
    odd = {"timestamp_ms": 6, "app": "a", "replica_id": "r", "line": "\ufffd", "line_base64": "/w=="}
    frames = b"".join(
        zstandard.compress(json.dumps(each, ensure_ascii=False).encode() + b"\n") for each in (record, odd)
    )
    (folder / "1.ndjson.zst").write_bytes(frames)
    (folder / ".2.ndjson.zst.part").write_bytes(b"being written")
    assert list(printed_lines(tmp_path)) == [
        Printed("a", "r", 5, "stderr", "x\u2028y"),
        Printed("a", "r", 6, "", b"\xff"),
    ]
    assert (measure(tmp_path).objects, measure(tmp_path).size) == (1, len(frames))


def test_lines_of_builds_are_read_back_as_the_bytes_that_were_printed(tmp_path: Path) -> None:
    folder = tmp_path / "kind=builds" / "org=o" / "app=a"
    folder.mkdir(parents=True)
    records: list[dict[str, object]] = [
        {"timestamp_ms": 5, "app": "a", "build_id": "bld_1", "source": "build", "line": "größe"},
        {
            "timestamp_ms": 6,
            "app": "a",
            "deploy_id": "dpl_1",
            "source": "compile",
            "line": "\ufffd",
            "line_base64": "/w==",
        },
    ]
    (folder / "1.ndjson.zst").write_bytes(
        zstandard.compress(b"".join(json.dumps(each).encode() + b"\n" for each in records))
    )
    assert list(built_lines(tmp_path)) == [
        Built("a", "build", "bld_1", "größe".encode()),
        Built("a", "compile", "dpl_1", b"\xff"),
    ]


def test_metrics_are_summed_over_the_label_sets_that_match() -> None:
    metrics = parse(
        '# HELP shipper_x_total help\n# TYPE shipper_x_total counter\nshipper_x_total{sink="a",kind="logs"} 2\n'
        'shipper_x_total{sink="b",kind="logs"} 3.0\nshipper_x_total{sink="b",kind="events"} 5\nshipper_y 1e3\n'
    )
    assert metrics.total("x_total", 'kind="logs"') == 5
    assert metrics.total("x_total") == 10
    assert metrics.total("y") == 1000
    assert metrics.total("absent") == 0


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("500ms", 0.5), ("2m", 120), ("1.5", 1.5)])
def test_durations_are_written_as_in_a_configuration(text: str, seconds: float) -> None:
    parser = argparse.ArgumentParser()
    demo_module.add_arguments(parser)
    assert parser.parse_args(["--duration", text]).duration == seconds


@pytest.mark.parametrize("text", ["0s", "-1s", "soon", "inf", "nans"])
def test_a_duration_that_makes_no_sense_is_bad_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    demo_module.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--duration={text}"])
    assert "not a number above 0" in capsys.readouterr().err


def test_sizes_are_for_people() -> None:
    assert [size(0), size(1023), size(1536), size(5 * 2**30)] == ["0 B", "1,023 B", "1.5 KiB", "5.0 GiB"]


def test_the_plan_names_actions_that_exist_in_the_order_of_time() -> None:
    scenario = demo_module.scenario(argparse.Namespace(seed=1, apps=2, rate=10.0))
    with pytest.raises(ValueError, match="traffic"):
        Mischief(Emulator(Scenario()))
    assert scenario.traffic is not None
    shares = [share for share, _ in DEMO_PLAN]
    assert shares == sorted(shares)
    assert max(shares) < 1
