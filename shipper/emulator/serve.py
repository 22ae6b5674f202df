"""`shipper emulator`: an emulated Ignite on a port, for developing against."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from shipper.emulator.emulator import Emulator
from shipper.emulator.http_style import Form, HttpStyle
from shipper.emulator.mischief import Mischief
from shipper.emulator.scenario import Reflection, Scenario, Tls, Traffic
from shipper.emulator.text import LineSource, lines_of_files

_CONFIGURATION = """\
ignite:
  endpoint: {endpoint}
  organization: {organization}
  auth: {{type: token, token: {token}}}
{tls}buffer:
  path: ./shipper-buffer
sinks:
  archive:
    type: directory
    path: ./archive
    batch: {{max_age: 5s}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `shipper emulator`."""
    traffic = Traffic()
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:50051", type=_address)
    parser.add_argument(
        "--http", metavar="HOST:PORT", type=_address, help="serve the HTTP gateway too, with the same calls"
    )
    parser.add_argument(
        "--http-style", metavar="WORDS", type=_style, default=HttpStyle(),
        help=f"how it writes JSON, words with commas between: a form of streams ({', '.join(Form)}), envelope, snake, "
        "numbers, enum-numbers, sparse, keep-alive=SECONDS",
    )  # fmt: skip
    parser.add_argument("--organization", default="acme-corp")
    parser.add_argument("--token", default="emulator-token", help="the bearer token that is accepted")
    parser.add_argument("--apps", type=_whole, default=traffic.apps, help="how many (default %(default)s)")
    parser.add_argument(
        "--replicas", type=_whole, default=traffic.replicas, help="of an awake app (default %(default)s)"
    )
    parser.add_argument(
        "--rate", type=_positive, default=50.0, help="lines a second in all (default %(default)s)"
    )
    parser.add_argument(
        "--pod-life", type=_positive, default=120.0, metavar="SECONDS", help="mean (default %(default)s)"
    )
    parser.add_argument(
        "--sleep-every", type=float, default=300.0, metavar="SECONDS",
        help="mean time between scalings to zero of an app, 0 for never (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--builds-every", type=float, default=60.0, metavar="SECONDS",
        help="mean time between builds of an app, 0 for none (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--late", type=float, default=0.0, metavar="SECONDS", help="some lines arrive up to this late"
    )
    parser.add_argument(
        "--history", type=_whole, default=100_000, metavar="LINES", help="that a container keeps"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--lines", nargs="+", type=Path, metavar="FILE", help="print the lines of these files"
    )
    parser.add_argument(
        "--faults", type=_positive, metavar="SECONDS", help="do mischief, this far apart on average"
    )
    parser.add_argument(
        "--renumber", type=int, metavar="SEED", help="other field numbers than the bundled .proto has"
    )
    parser.add_argument(
        "--reflection", choices=[each.value for each in Reflection], default=Reflection.BOTH.value
    )
    parser.add_argument("--max-streams", type=_whole, metavar="N", help="on one connection")
    parser.add_argument("--gzip", action="store_true", help="compress answers for clients that accept it")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")


def main(options: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM. 0 when stopped, 1 if the port is taken, 2 for options that make no sense."""
    if (options.tls_cert is None) != (options.tls_key is None):
        return _complain("--tls-cert and --tls-key belong together", 2)
    try:
        scenario = scenario_of(options)
        lines = lines_of_files(options.lines) if options.lines else None
    except (OSError, ValueError) as error:
        return _complain(str(error), 2)
    try:
        asyncio.run(_serve(scenario, lines, options.faults))
    except OSError as error:
        return _complain(str(error), 1)
    return 0


def scenario_of(options: argparse.Namespace) -> Scenario:
    """The scenario that the options describe."""
    host, port = options.listen
    tls = None
    if options.tls_cert is not None:
        tls = Tls(options.tls_cert.read_bytes(), options.tls_key.read_bytes())
    return Scenario(
        organization=options.organization,
        seed=options.seed,
        host=host,
        port=port,
        token=options.token,
        token_endpoint=True,
        renumber=options.renumber,
        reflection=Reflection(options.reflection),
        gzip=options.gzip,
        max_concurrent_streams=options.max_streams,
        tls=tls,
        http=None if options.http is None else options.http_style,
        http_host=None if options.http is None else options.http[0],
        http_port=0 if options.http is None else options.http[1],
        history_lines=options.history,
        keep_ledger=False,
        traffic=Traffic(
            apps=options.apps,
            replicas=options.replicas,
            rate=options.rate,
            pod_life_s=options.pod_life,
            sleep_every_s=options.sleep_every,
            builds_every_s=options.builds_every,
            late_share=0.05 if options.late else 0.0,
            late_s=options.late,
        ),
    )


async def _serve(scenario: Scenario, lines: LineSource | None, faults_every_s: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Emulator(scenario, lines=lines) as ignite, asyncio.TaskGroup() as tasks:
        _say(introduction(ignite))
        side = [tasks.create_task(_print_news(ignite), name="emulator-news")]
        if faults_every_s is not None:
            side.append(
                tasks.create_task(Mischief(ignite).at_random(faults_every_s), name="emulator-mischief")
            )
        await stop.wait()
        for task in side:
            task.cancel()
    _say(f"stopped after {ignite.ledger.printed} lines")


def introduction(ignite: Emulator) -> str:
    """What a newcomer needs: the address, the token, a configuration to paste."""
    scenario = ignite.scenario
    tls = "  tls: {ca_file: the authority of your certificate}\n" if scenario.tls is not None else ""
    configuration = _CONFIGURATION.format(
        endpoint=ignite.endpoint,
        organization=json.dumps(scenario.organization),
        token=json.dumps(scenario.token),
        tls=tls,
    )
    gateway = ""
    if scenario.http is not None:
        gateway = f"HTTP gateway: {ignite.http_endpoint} (streams as {scenario.http.form})\n"
    indented = "".join(f"    {line}\n" for line in configuration.splitlines())
    return (
        f"An emulated Ignite listens on {ignite.address} (gRPC, reflection: {scenario.reflection}).\n"
        f"{gateway}"
        f"Token: {scenario.token}\n"
        f"Token endpoint: {ignite.token_url} (client {scenario.client_id}, secret {scenario.client_secret})\n\n"
        f"A configuration for it:\n\n{indented}\n"
        f"Stop with Ctrl-C."
    )


async def _print_news(ignite: Emulator) -> None:
    news = ignite.world.news
    while True:
        while news:
            _say(news.popleft()[1])
        await asyncio.sleep(0.5)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def _style(words: str) -> HttpStyle:
    try:
        return HttpStyle().parsed(words)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < float("inf"):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _whole(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"shipper emulator: {text}\n")
    return status
