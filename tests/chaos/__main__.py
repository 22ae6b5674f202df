"""`python -m tests.chaos`: runs seeds, two at a time, each in a process of its own, and writes the table.

python -m tests.chaos --seeds 50                # seeds 1 to 50
python -m tests.chaos --seed 17 --keep out      # one seed, its files stay in ./out
python -m tests.chaos --fault rotation --seeds 20
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.chaos.catalogue import FAULTS
from tests.chaos.network_faults import in_own_network
from tests.chaos.outcome import Outcome
from tests.chaos.plan import draw
from tests.chaos.run import run
from tests.chaos.steps import StepOutcome, calls_of_a_run, kill_at_each
from tests.chaos.table import page

RUN_WITHIN_S = 480.0


def main() -> int:
    """0 if every promise was kept in every run."""
    options = _options()
    if options.one:
        return _one(options)
    began = time.monotonic()
    outcomes, steps = _read(options.read) if options.read is not None else asyncio.run(_all(options))
    bad = [*filter(None, (outcome.violations for outcome in outcomes))]
    worse = [*filter(None, (outcome.problems for outcome in steps))]
    took = f"{time.monotonic() - began:.0f} s"
    print(
        f"{len(outcomes)} runs in {took}, {len(bad)} with violations; {len(steps)} kills, {len(worse)} with violations"
    )
    if options.results is not None:
        every = [outcome.as_json() for outcome in outcomes] + [asdict(outcome) for outcome in steps]
        options.results.write_text("".join(json.dumps(each) + "\n" for each in every))
    if options.write is not None:
        options.write.write_text(page(outcomes, steps, f"make chaos SEEDS={len(outcomes)}"))
    return 1 if bad or worse else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seeds", type=int, default=50, help="how many (default %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default %(default)s)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument(
        "--fault",
        action="append",
        choices=sorted(FAULTS),
        default=[],
        help="in place of those that the seed draws",
    )
    parser.add_argument("--steps", action="store_true", help="kill at each system call of a small run too")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the files of the runs stay")
    parser.add_argument("--results", type=Path, metavar="FILE", help="every outcome as a line of JSON")
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="take the outcomes of `--results`, run nothing"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page with the table")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _read(path: Path) -> tuple[list[Outcome], list[StepOutcome]]:
    """Outcomes of earlier runs."""
    every = [json.loads(line) for line in path.read_text().splitlines()]
    outcomes = [Outcome.from_json(each) for each in every if "seed" in each]
    steps = [StepOutcome(**{**each, "problems": tuple(each["problems"])}) for each in every if "at" in each]
    return outcomes, steps


def _one(options: argparse.Namespace) -> int:
    """One run in this process; its outcome is the last line on standard output."""
    plan = draw(options.seed, tuple(options.fault))
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(run(plan, options.keep.resolve()))
    else:
        with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
            outcome = asyncio.run(run(plan, Path(folder)))
    print(json.dumps(outcome.as_json()))
    return 0


async def _all(options: argparse.Namespace) -> tuple[list[Outcome], list[StepOutcome]]:
    everything = options.steps and options.seed is None and not options.fault
    return await _many(options), await _steps(options) if everything else []


async def _steps(options: argparse.Namespace) -> list[StepOutcome]:
    """Twice as many at a time as seeds: they mostly wait."""
    began = time.monotonic()
    outcomes = await kill_at_each(range(1, await calls_of_a_run() + 1), 2 * options.jobs)
    print(f"{len(outcomes)} kills at system calls in {time.monotonic() - began:.0f} s", flush=True)
    for outcome in outcomes:
        for problem in outcome.problems:
            print(f"    call {outcome.number}, {outcome.at}: {problem}", flush=True)
    return outcomes


async def _many(options: argparse.Namespace) -> list[Outcome]:
    seeds = (
        [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    )
    slots = asyncio.Semaphore(options.jobs)
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(_in_a_process(seed, options, slots), name=f"seed {seed}") for seed in seeds]
    return [task.result() for task in made]


async def _in_a_process(seed: int, options: argparse.Namespace, slots: asyncio.Semaphore) -> Outcome:
    keep = None if options.keep is None else options.keep / f"seed-{seed}"
    command = command_of(seed, tuple(options.fault), keep)
    async with slots:
        began = time.monotonic()
        outcome = await outcome_of(seed, command)
        took = time.monotonic() - began
    good = "kept" if not outcome.violations else "BROKEN"
    print(f"seed {seed:>5} {good} {took:5.1f} s  {' '.join(outcome.faults)}", flush=True)
    for text in (*outcome.violations, *outcome.lives):
        print("    " + text.replace("\n", "\n    "), flush=True)
    return outcome


def command_of(seed: int, faults: tuple[str, ...], keep: Path | None) -> list[str]:
    """One run as a process, where a fault wants it in a network of its own."""
    command = [sys.executable, "-m", "tests.chaos", "--one", "--seed", str(seed)]
    for fault in faults:
        command += ["--fault", fault]
    if keep is not None:
        command += ["--keep", str(keep)]
    apart = any(FAULTS[name].apart for name in draw(seed, faults).faults)
    return in_own_network(command) if apart else command


async def outcome_of(seed: int, command: list[str]) -> Outcome:
    """What the run's process says; a process that fails is a violation too."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), RUN_WITHIN_S)
        if process.returncode == 0:
            return Outcome.from_json(json.loads(out.splitlines()[-1]))
        why = err.decode(errors="replace")[-3000:]
    except TimeoutError:
        process.kill()
        await process.wait()
        why = "it took too long"
    plan = draw(seed)
    return Outcome(seed, plan.faults, 0, (), 0.0, 0.0, 0, 0, 0, (f"the run failed: {why}",), (), ())


if __name__ == "__main__":
    sys.exit(main())
