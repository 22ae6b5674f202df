"""`python -m tests.soak`: an hour of pods that come and go, the real daemon, and whether anything of it grows.

python -m tests.soak --minutes 60
python -m tests.soak --read out/samples.jsonl            # the slopes of an earlier run
python -m tests.soak --minutes 5 --leave-out 1 --rate 500 --folder out
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.processes import Daemon, Server, wait_until
from tests.soak.archived import Archived, in_folder, in_store
from tests.soak.samples import Sample, look
from tests.soak.slopes import LEAST, table, trends

_CONFIG = """\
ignite:
  endpoint: grpc://127.0.0.1:{port}
  organization: acme-corp
  auth: {{type: token, token: soak}}
buffer: {{path: '{folder}/buffer', max_size: 1GiB}}
sinks:
  local: {{type: directory, path: '{folder}/archive', batch: {{max_age: {age}, max_size: 8MiB}}}}
  store:
    type: s3
    bucket: soak
    region: eu-central-1
    endpoint_url: http://127.0.0.1:{store}
    access_key_id: soak
    secret_access_key: soak
    batch: {{max_age: {age}, max_size: 8MiB}}
"""


def main() -> int:
    """0 if nothing grows and the archives have what was printed, 1 otherwise."""
    options = _options()
    if options.read is not None:
        return _judged(_read(options.read), options, [])
    with tempfile.TemporaryDirectory(prefix="shipper-soak-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return _soak(options, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--leave-out", type=float, default=25.0, help="minutes at the start (%(default)s)")
    parser.add_argument("--read", type=Path, metavar="FILE", help="samples of an earlier run; nothing is run")
    parser.add_argument("--rate", type=float, default=2000.0, help="lines a second in all (%(default)s)")
    parser.add_argument("--apps", type=int, default=24)
    parser.add_argument("--replicas", type=int, default=9, help="of an app that is awake (%(default)s)")
    parser.add_argument("--pod-life", type=float, default=300.0, help="mean, in seconds (%(default)s)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples (%(default)s)")
    parser.add_argument("--batch-age", default="60s", help="max_age of batches (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where buffer, archive, log and samples stay")
    return parser.parse_args()


def _soak(options: argparse.Namespace, folder: Path) -> int:
    churn = [
        f"--{name}={getattr(options, name.replace('-', '_'))}"
        for name in ("apps", "replicas", "rate", "pod-life", "seed")
    ]
    with ExitStack() as stack:
        store = stack.enter_context(Server("tests.bench.object_store"))
        platform = stack.enter_context(Server("tests.soak.platform", *churn))
        config = _CONFIG.format(port=platform.port, store=store.port, folder=folder, age=options.batch_age)
        daemon = stack.enter_context(Daemon(folder, config))
        samples = _watch(options, daemon, platform, folder)
        _drain(daemon, platform)
        cpu_s = daemon.cpu_s()
        daemon.stop()
        tallies: dict[str, str] = platform.ask("tallies")
        archives = {"directory": in_folder(folder / "archive"), "s3": in_store(store)}
        print(
            f"\n{platform.ask('status')['printed']:,} lines, {len(tallies):,} replicas, {cpu_s:.0f} CPU-seconds"
        )
    return _judged(samples, options, _compared(archives, tallies))


def _read(path: Path) -> list[Sample]:
    return [Sample(**json.loads(line)) for line in path.read_text().splitlines()]


def _judged(samples: list[Sample], options: argparse.Namespace, faults: list[str]) -> int:
    found = trends(samples, options.leave_out * 60)
    print(table(found))
    faults = [*faults, *(f"{one.name} grows by {one.steady:.2f} an hour" for one in found if one.grows)]
    print("\n".join(faults) or "nothing grows, and the archives have what was printed")
    return 1 if faults else 0


def _watch(options: argparse.Namespace, daemon: Daemon, platform: Server, folder: Path) -> list[Sample]:
    """Samples until the time is up; each is a line of `samples.jsonl` and now and then of the output."""
    samples: list[Sample] = []
    wait_until(daemon.metrics, "the daemon's first answer")
    began = time.monotonic()
    with (folder / "samples.jsonl").open("w") as log:
        while (at_s := time.monotonic() - began) < options.minutes * 60 or len(samples) < LEAST:
            printed = platform.ask("status")["printed"]
            sample = look(daemon.pid, daemon.metrics(), folder / "buffer", at_s, printed)
            samples.append(sample)
            log.write(json.dumps(sample.as_json()) + "\n")
            log.flush()
            if len(samples) % 12 == 1:
                print(json.dumps(sample.as_json()), flush=True)
            time.sleep(options.every)
    return samples


def _drain(daemon: Daemon, platform: Server) -> None:
    """Nothing is printed any more, and everything that was is delivered (or lost: the comparison says so)."""
    platform.ask("quiet")
    seen = [-1.0, 0.0]

    def settled() -> bool:
        seen.append(daemon.metric("shipper_records_delivered_total", 'kind="logs"'))
        return seen[-1] >= 2 * platform.ask("status")["printed"] or len(seen) > 90

    wait_until(settled, "delivering what was printed", timeout_s=240, every_s=2.0)


def _compared(archives: dict[str, Archived], tallies: dict[str, str]) -> list[str]:
    faults: list[str] = []
    for name, archived in archives.items():
        differences = list(archived.differences(tallies))
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(archived.records.items()))
        print(f"{name}: {archived.objects:,} objects, {kinds}; {len(differences)} replicas differ")
        faults += [f"{name}: {text}" for text in differences[:20]]
    return faults


if __name__ == "__main__":
    sys.exit(main())
