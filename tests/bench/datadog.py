"""From a frame of the buffer to the compressed body of a Datadog request: lines per CPU-second, step by step.

`python -m tests.bench.datadog` also compares the ways to write a log as JSON, and the levels of compression. The
figures say why logs go without the models of Datadog's client, and why gzip is asked for at the level that it is
(docs/performance.md).
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import orjson
import zstandard
from datadog_api_client.model_utils import data_to_dict
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem

from shipper.archive.codec import LogIdentity, compress, decompress, encode_log_run
from shipper.archive.layout import hour_of
from shipper.config.load import load
from shipper.deliver.slices import slices
from shipper.emulator.text import generated_lines, lines_of_files
from shipper.model import Codec, Kind, Partition
from shipper.sinks.datadog.body import Body, compressed
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.datadog.sink import DatadogSink
from shipper.transform.building import build_pipeline
from shipper.transform.pipeline import SinkPipeline
from tests.bench.printed import STDERR_EVERY, replica_name

T = TypeVar("T")

NOW_S: Final = 1_790_000_000.0
REPLICAS: Final = 8
FRAME_LINES: Final = 4_000  # of one replica in a row, as a commit has them
_TEXTS: Final = 20_000
MODEL_LOGS: Final = 2_000  # the client's models are slow
_CONFIG: Final = """\
ignite: {endpoint: grpcs://127.0.0.1, organization: acme, auth: {type: none}}
sinks: {search: {type: datadog, api_key: key, join: {enabled: %s}}}
%s"""
_READ: Final = 'read: [{app: "*", json: true, level: auto}]\n'


@dataclass(slots=True)
class Spent:
    """CPU-seconds by step, and the lines that they were spent on."""

    lines: int = 0
    unpacked_s: float = 0.0
    transformed_s: float = 0.0
    packed_s: float = 0.0
    compressed_s: float = 0.0

    @property
    def steps(self) -> tuple[float, ...]:
        """Lines per CPU-second of each step, and of all of them."""
        each = (self.unpacked_s, self.transformed_s, self.packed_s, self.compressed_s)
        return tuple(self.lines / max(seconds, 1e-9) for seconds in (*each, sum(each)))


@dataclass(frozen=True, slots=True)
class Sample:
    """Frames of one partition, as they lie in the buffer."""

    partition: Partition
    frames: Sequence[bytes]
    lines: int


def texts_of(files: Sequence[Path]) -> list[str]:
    """The text of the lines: of files, or made up."""
    source = lines_of_files(list(files)) if files else generated_lines(seed=1)
    return [source.line("app") for _ in range(_TEXTS)]


def sample(texts: Sequence[str], lines: int) -> Sample:
    """So many lines of some replicas, with the labels that the platform sends."""
    now_ms = int(NOW_S * 1000)
    source = cycle(texts)
    frames = []
    for start in range(0, lines, FRAME_LINES):
        count = min(FRAME_LINES, lines - start)
        replica = replica_name((start // FRAME_LINES) % REPLICAS, 1)
        ndjson = encode_log_run(
            LogIdentity("acme-corp", "checkout", replica, "eu-1", "ip-10-0-3-17"),
            [now_ms - lines + start + index for index in range(count)],
            ["stderr" if index % STDERR_EVERY == 0 else "stdout" for index in range(count)],
            list(islice(source, count)),
        )
        frames.append(compress(Codec.ZSTD, ndjson))
    return Sample(Partition(Kind.LOGS, "acme-corp", "checkout", hour_of(now_ms)), frames, lines)


def pipeline(*, join: bool, read: bool) -> SinkPipeline:
    """What the daemon puts before a Datadog sink with such a configuration."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "shipper.yaml"
        file.write_text(_CONFIG % (json.dumps(join), _READ if read else ""))
        return build_pipeline(load(file, {}), "search")


def sink(**options: Any) -> DatadogSink:
    """A sink that is never opened: packing needs no network."""
    return DatadogSink("search", DatadogOptions("key", **options), lambda: NOW_S)


def spent(given: Sample, way: SinkPipeline, codec: Codec = Codec.GZIP) -> Spent:
    """One passage, a slice at a time, as delivery does it. Fails where a line was lost on the way."""
    target = sink()
    clock = time.process_time
    found = Spent()
    bodies: list[bytes] = []
    step = way.start(given.partition, b"")
    pieces = slices(Codec.ZSTD, given.frames)
    while True:
        began = clock()
        piece = next(pieces, None)
        unpacked = clock()
        entries = step.flush() if piece is None else step.feed(piece)
        transformed = clock()
        parcels = list(target.pack(given.partition, entries))
        packed = clock()
        bodies += [compressed(codec, parcel.body.data) for parcel in parcels if isinstance(parcel.body, Body)]
        found.compressed_s += clock() - packed
        found.packed_s += packed - transformed
        found.transformed_s += transformed - unpacked
        found.unpacked_s += unpacked - began
        if piece is None:
            break
    step.finish()
    for body in bodies:
        found.lines += sum(
            log.get("shipper", {}).get("lines", 1) for log in orjson.loads(decompress(codec, body))
        )
    if found.lines != given.lines:
        raise AssertionError(f"{given.lines} lines went in, {found.lines} came out")
    return found


def paces(given: Sample, way: SinkPipeline, runs: int) -> tuple[float, ...]:
    """The median of some passages: lines per CPU-second of each step, and of all of them."""
    return tuple(map(median, zip(*(spent(given, way).steps for _ in range(runs)), strict=True)))


def cpu_s(work: Callable[[], T], runs: int) -> tuple[float, T]:
    """The median CPU time of some runs, and the last one's result."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        result = work()
        times.append(time.process_time() - began)
    return max(median(times), 1e-9), result


# ---- ways to write a log as JSON ----


def serialised(logs: Sequence[dict[str, Any]], runs: int = 3) -> dict[str, float]:
    """Logs per CPU-second of each way, from the facts of a log to the text of a request."""
    few = logs[:MODEL_LOGS]
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "dicts, orjson": (lambda: orjson.dumps(list(map(dict, logs))), len(logs)),
        "dicts, the standard library's json": (lambda: json.dumps(list(map(dict, logs))), len(logs)),
        "the client's models, built": (lambda: HTTPLog([HTTPLogItem(**log) for log in few]), len(few)),
        "the client's models, built and written as the client does": (
            lambda: json.dumps(data_to_dict(HTTPLog([HTTPLogItem(**log) for log in few]))),
            len(few),
        ),
    }
    return {name: count / cpu_s(work, runs)[0] for name, (work, count) in ways.items()}


def squeezed(bodies: Sequence[bytes], logs: int, runs: int = 3) -> dict[str, tuple[float, float]]:
    """Logs per CPU-second and how many times smaller, by level of compression."""
    ways: dict[str, Callable[[bytes], bytes]] = {
        f"gzip {level}": lambda body, level=level: zlib.compress(body, level, 31) for level in range(1, 10)
    }
    ways |= {
        f"zstd {level}": lambda body, level=level: zstandard.ZstdCompressor(level=level).compress(body)
        for level in (1, 3)
    }
    found = {}
    for name, squeeze in ways.items():
        seconds, small = cpu_s(lambda: list(map(squeeze, bodies)), runs)  # noqa: B023 - called at once
        found[name] = logs / seconds, sum(map(len, bodies)) / sum(map(len, small))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.datadog", description=__doc__)
    parser.add_argument(
        "--lines", type=Path, nargs="+", default=[], help="real log text, in place of a made-up one"
    )
    parser.add_argument("--count", type=int, default=120_000, help="so many lines")
    parser.add_argument("--runs", type=int, default=5, help="the median of so many runs")
    arguments = parser.parse_args()
    given = sample(texts_of(arguments.lines), arguments.count)

    print(f"{platform.machine()}, Python {platform.python_version()}; {given.lines} lines\n")
    print("| pipeline | unpacked | transformed | packed | gzip | all |\n|---|---|---|---|---|---|")
    for name, join, read in (
        ("decode", False, False),
        ("decode, join stack traces", True, False),
        ("decode, join, read levels and JSON", True, True),
    ):
        steps = paces(given, pipeline(join=join, read=read), arguments.runs)
        print(f"| {name} | " + " | ".join(f"{each:,.0f}" for each in steps) + " |")

    entries = pipeline(join=False, read=False).start(given.partition, b"")
    some = [entry for piece in slices(Codec.ZSTD, given.frames[:5]) for entry in entries.feed(piece)]
    bodies = [
        parcel.body.data for parcel in sink().pack(given.partition, some) if isinstance(parcel.body, Body)
    ]
    logs = [log for body in bodies for log in orjson.loads(body)]
    print("\n| logs as JSON | a CPU-second |\n|---|---|")
    for name, pace in serialised(logs, arguments.runs).items():
        print(f"| {name} | {pace:,.0f} |")
    print("\n| compression | logs a CPU-second | times smaller |\n|---|---|---|")
    for name, (pace, ratio) in squeezed(bodies, len(logs), arguments.runs).items():
        print(f"| {name} | {pace:,.0f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
