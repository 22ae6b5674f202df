"""`python -m tests.fuzz`: every target in a process of its own, with inputs that are changed a little.

python -m tests.fuzz --runs 100000                    # of each target
python -m tests.fuzz --target http2 --seconds 600     # one of them, by time

An input that fails is written into tests/fuzz/corpus, where a test replays it from then on.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final

from tests.fuzz.catalogue import CATALOGUE
from tests.fuzz.driving import CORPUS, Found, Report
from tests.fuzz.processes import in_a_process

HEAD: Final = (
    "| target | executions | seconds | a second | ways to end | MB grown | findings |\n"
    "|---|--:|--:|--:|--:|--:|--:|"
)


def main() -> int:
    """0 if nothing was found."""
    options = _options()
    print(f"seed {options.seed}\n\n{HEAD}", flush=True)
    reports = [_run(name, options) for name in options.target or CATALOGUE]
    executions, seconds = sum(each.executions for each in reports), sum(each.seconds for each in reports)
    print(f"| all | {executions:,} | {seconds:,.0f} | | | | {sum(len(each.found) for each in reports)} |")
    for report in reports:
        for found in report.found:
            print(f"{report.target}: {found.how}")
            if found.data:
                folder = CORPUS / report.target
                folder.mkdir(parents=True, exist_ok=True)
                (folder / found.name).write_bytes(found.data)
                print(f"    {folder / found.name}")
    return 1 if any(report.found for report in reports) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--runs", type=int, default=100_000, help="of each target at most (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120.0, help="for each at most (%(default)s)")
    parser.add_argument("--target", action="append", choices=sorted(CATALOGUE), default=[])
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    return parser.parse_args()


def _run(name: str, options: argparse.Namespace) -> Report:
    """In a process of its own, which an input may end."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            report = pool.submit(in_a_process, name, options.seed, options.runs, options.seconds).result()
        except BrokenProcessPool:
            report = Report(name, found=[Found(b"", "an input ended the process")])
    print(report, flush=True)
    for found in report.found:
        print(f"    {found.how}: {found.data[:300]!r}", file=sys.stderr, flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
