"""A tree written with layout and codec is read by DuckDB as it lies."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from shipper.archive.codec import LogIdentity, compress, encode_logs
from shipper.archive.layout import batch_name, hour_of, object_key
from shipper.model import Codec, Kind, Partition

NAMES = ["checkout", "a/b", "..", "100% = all", "日本語", "_under", "x" * 100]
LINES = [
    "",
    "plain",
    '{"json": [1, "2"]}',
    'ends in ",',
    "\u2028 tab\t nul\x00 esc\x1b[0m",
    "日本語 🚀",
    "back\\slash\n",
]
TIMES = [0, -1, 1_763_899_200_000, 1_763_902_800_000, 253_402_300_799_999]


@pytest.mark.parametrize("codec", list(Codec))
def test_duckdb_reads_the_archive_as_it_lies(codec: Codec, tmp_path: Path) -> None:
    """Every record comes back with its columns, its folders as columns, and its line to the letter."""
    expected: list[tuple[str, str, int, str, str, str]] = []
    for app in NAMES:
        for number, ms in enumerate(TIMES, 1):
            partition = Partition(Kind.LOGS, "acme corp", app, hour_of(ms))
            who = LogIdentity("acme corp", app, "r-0")
            frames = [
                compress(codec, line)
                for line in encode_logs(who, [ms] * len(LINES), ["stdout"] * len(LINES), LINES)
            ]
            path = tmp_path / object_key(
                "ignite", partition, batch_name(ms, "00c0ffee", number, number), codec
            )
            path.parent.mkdir(parents=True)
            path.write_bytes(b"".join(frames))
            folders = [folder.partition("=")[2] for folder in path.parts[-4:-1]]
            expected += [(app, "r-0", ms, line, folders[1], folders[2]) for line in LINES]

    extension = {"zstd": "zst", "gzip": "gz", "none": "ndjson"}[codec]
    rows = duckdb.sql(
        f"""
        SELECT app, replica_id, timestamp_ms, line, CAST(dt AS VARCHAR), CAST(hour AS VARCHAR)
        FROM read_json('{tmp_path}/ignite/kind=logs/**/*.{extension}', hive_partitioning = true,
                       hive_types = {{'hour': VARCHAR, 'dt': VARCHAR}})
        WHERE org = 'acme corp' AND kind = 'logs'
        """
    ).fetchall()
    assert sorted(rows) == sorted(expected)
