"""From a frame of the buffer to the compressed body of a Sentry request: lines per CPU-second, step by step."""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from shipper.config.load import load
from shipper.deliver.slices import slices
from shipper.model import Codec
from shipper.sinks.sentry.envelope import Envelope
from shipper.sinks.sentry.intake import compressed
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.sink import SentrySink
from shipper.transform.building import build_pipeline
from shipper.transform.pipeline import SinkPipeline
from tests.bench.datadog import NOW_S, Sample, Spent, sample, texts_of

_DSN = "https://key@o1.ingest.sentry.io/7"
_CONFIG = """\
ignite: {endpoint: grpcs://127.0.0.1, organization: acme, auth: {type: none}}
sinks: {errors: {type: sentry, dsn: "%s"}}
routes: [{sinks: [errors], sentry_logs: %s}]
%s"""
_READ = 'read: [{app: "*", json: true, level: auto}]\n'


def pipeline(*, logs: bool, read: bool) -> SinkPipeline:
    """What the daemon puts before a Sentry sink with such a configuration."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "shipper.yaml"
        file.write_text(_CONFIG % (_DSN, str(logs).lower(), _READ if read else ""))
        return build_pipeline(load(file, {}), "errors")


def spent(given: Sample, way: SinkPipeline) -> Spent:
    """One passage, a slice at a time, as delivery does it."""
    target = SentrySink("errors", SentryOptions(_DSN), clock=lambda: NOW_S)
    clock = time.process_time
    found = Spent(lines=given.lines)
    step = way.start(given.partition, b"")
    pieces: Iterator[bytes] = slices(Codec.ZSTD, given.frames)
    piece: bytes | None = b""
    while piece is not None:
        began = clock()
        piece = next(pieces, None)
        unpacked = clock()
        entries = step.flush() if piece is None else step.feed(piece)
        transformed = clock()
        parcels = list(target.pack(given.partition, entries))
        packed = clock()
        for parcel in parcels:
            if isinstance(parcel.body, Envelope):
                compressed(parcel.body.data)
        found.compressed_s += clock() - packed
        found.packed_s += packed - transformed
        found.transformed_s += transformed - unpacked
        found.unpacked_s += unpacked - began
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sentry", description=__doc__)
    parser.add_argument(
        "--lines", type=Path, nargs="+", default=[], help="real log text, in place of a made-up one"
    )
    parser.add_argument("--count", type=int, default=120_000, help="so many lines")
    parser.add_argument("--runs", type=int, default=5, help="the median of so many runs")
    arguments = parser.parse_args()
    given = sample(texts_of(arguments.lines), arguments.count)
    print(f"{platform.machine()}, Python {platform.python_version()}; {given.lines} lines\n")
    print("| lines | unpacking | transforming | packing | gzip | all of it |\n|---|---|---|---|---|---|")
    for name, logs, read in (
        ("looked through for stack traces, not sent", False, False),
        ("as Sentry Logs", True, False),
        ("as Sentry Logs, levels and JSON read", True, True),
    ):
        way = pipeline(logs=logs, read=read)
        steps = map(median, zip(*(spent(given, way).steps for _ in range(arguments.runs)), strict=True))
        print(f"| {name} | " + " | ".join(f"{pace:,.0f}" for pace in steps) + " |")


if __name__ == "__main__":
    main()
