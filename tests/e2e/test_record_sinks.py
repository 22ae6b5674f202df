"""The real daemon with Datadog and Sentry beside an archive: routes, joined traces, redaction; faults and kills."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.archive.codec import decode, decompress
from shipper.emulator import Emulator, Scenario
from shipper.emulator.ledger import Printed, compare
from shipper.model import Codec
from tests.e2e.conftest import Make
from tests.e2e.daemon_process import Shipper, printed
from tests.servers.datadog_intake import KEY, Canned, DatadogIntake, Fault
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, Store, moto
from tests.servers.sentry_stub import sentry_stub

TRACE = [
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 7, in charge',
    "    raise CardDeclined(order)",
    "CardDeclined: order 17 of jane@example.com",
]

ARCHIVE = "  local: {{type: directory, path: {path}, batch: {{max_age: 300ms}}}}\n"
DATADOG = (
    "  datadog: {{type: datadog, site: datadoghq.eu, api_key: {key}, endpoint_url: '{url}', "
    "events: logs, batch: {{max_age: 200ms}}}}\n"
)
SENTRY = "  sentry: {{type: sentry, dsn: '{dsn}', batch: {{max_age: 200ms}}}}\n"


S3 = (
    f"  s3: {{{{type: s3, bucket: acme-logs, region: {REGION}, endpoint_url: '{{url}}', access_key_id: {ACCESS_KEY}, "
    f"secret_access_key: {SECRET_KEY}, batch: {{{{max_age: 300ms}}}}}}}}\n"
)


def lines_in(store: Store) -> Iterator[Printed]:
    for key, body in store.objects("acme-logs").items():
        if key.startswith("kind=logs/"):
            yield from map(printed, decode(decompress(Codec.ZSTD, body)))


def archive_of(daemon: Shipper) -> str:
    return ARCHIVE.format(path=daemon.archive)


def delivered(sink: str, count: int):
    name = f'shipper_records_delivered_total{{kind="logs",sink="{sink}"}}'
    return lambda seen: seen.get(name, 0) >= count


async def test_each_sink_gets_what_its_routes_say_and_the_archive_everything_as_it_was_printed(
    shipper: Make,
) -> None:
    async with Emulator() as ignite, DatadogIntake() as datadog, sentry_stub() as sentry:
        pod = ignite.app("checkout").start_replica()
        other = ignite.app("noise").start_replica()
        lines = [f'{{"level": "info", "msg": "paid {number}"}}' for number in range(500)]
        pod.print_all(
            [*lines, "GET /healthz 200", *TRACE, "Authorization: Bearer abc.def.ghi123456789", "last line"]
        )
        other.print_all([f"chatter {number}" for number in range(300)])
        daemon = shipper(
            ignite.endpoint,
            settings=(
                "read: [{app: '*', json: true, level: auto}]\n"
                "redact: [{patterns: [bearer_token, email], sinks: [datadog, sentry]}]\n"
                "routes:\n"
                "  - {match: {app: '*'}, sinks: [local], continue: true}\n"
                "  - {match: {app: noise}, drop: true}\n"
                "  - {name: health, match: {line: '^GET /healthz'}, drop: true}\n"
                "  - {match: {kind: [logs, events, gaps]}, sinks: [datadog, sentry]}\n"
            ),
        )
        daemon.sinks = (
            archive_of(daemon) + DATADOG.format(key=KEY, url=datadog.url) + SENTRY.format(dsn=sentry.dsn)
        )
        await daemon.start()
        await daemon.until(delivered("local", 807))
        await daemon.until(delivered("datadog", 506))
        async with asyncio.timeout(30):
            while not sentry.events:
                await asyncio.sleep(0.05)
        assert await daemon.stop() == 0, daemon.said()
        assert compare(ignite.ledger.counter(), daemon.lines()).equal

        messages = datadog.messages
        paid = [log for log in datadog.logs if log["message"].startswith("paid ")]
        assert Counter(log["message"] for log in paid) == Counter(f"paid {number}" for number in range(500))
        assert {log["status"] for log in paid} == {"info"}
        assert not [message for message in messages if "chatter" in message or "healthz" in message]
        joined = [log for log in datadog.logs if log["message"].startswith("Traceback")]
        assert len(joined) == 1
        assert joined[0]["message"].count("\n") == 3
        assert "jane@example.com" not in str(messages)
        assert "abc.def.ghi" not in str(messages)
        assert "[redacted:email]" in joined[0]["message"]

        issues = [event for event in sentry.events if "exception" in event]
        assert len(issues) == 1
        assert "jane@example.com" not in str(issues)
        assert not sentry.problems
        seen = daemon.said()
        assert "Traceback" not in seen


async def test_kills_and_faults_leave_every_record_at_least_once_and_in_each_archive_exactly_once(
    shipper: Make, tmp_path: Path
) -> None:
    rng = random.Random(3)
    faults = [Fault.RESET, Fault.LOSE_ANSWER, Canned(503), Canned(429, {"retry-after": "0"}), Canned(408)]
    with moto(tmp_path) as store:
        store.make_bucket("acme-logs")
        await _kill_again_and_again(shipper, store, rng, faults)


async def _kill_again_and_again(
    shipper: Make, store: Store, rng: random.Random, faults: list[Fault | Canned]
) -> None:
    async with Emulator(Scenario(renumber=3)) as ignite, DatadogIntake() as datadog:
        replicas = [ignite.app(name).start_replica() for name in ("checkout", "search") for _ in "ab"]
        daemon = shipper(ignite.endpoint)
        daemon.sinks = (
            archive_of(daemon) + S3.format(url=store.endpoint_url) + DATADOG.format(key=KEY, url=datadog.url)
        )

        async def print_on(done: asyncio.Event) -> None:
            number = 0
            while not done.is_set():
                for replica in replicas:
                    for _ in range(rng.randint(0, 6)):
                        number += 1
                        replica.print(f"line {number}")
                    if rng.random() < 0.05:
                        for line in TRACE:
                            replica.print(f"{line}")
                    replica.print(f"the end of round {number}")
                if not datadog.script and rng.random() < 0.3:
                    datadog.plan([rng.choice(faults)])
                await asyncio.sleep(0.03)

        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(print_on(done), name="apps print")
            for _ in range(10):
                await daemon.start()
                await daemon.until(lambda seen: True)
                await asyncio.sleep(rng.uniform(0.2, 1.5))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
            done.set()
        datadog.plan([])
        await daemon.start()
        expected = Counter(line.line for line in ignite.ledger.lines)
        async with asyncio.timeout(60):
            while Counter(line.line for line in daemon.lines()) != expected or _missing(datadog, expected):
                await asyncio.sleep(0.5)
        assert await daemon.stop() == 0, daemon.said()[-2000:]
        assert compare(ignite.ledger.counter(), daemon.lines()).equal
        assert compare(ignite.ledger.counter(), lines_in(store)).equal
        sent = sum(message.count("\n") + 1 for message in datadog.messages)
        assert sent < 2 * sum(expected.values()), "a kill repeats what was under way, not everything"


def _missing(datadog: DatadogIntake, expected: Counter[str]) -> Counter[str]:
    had = Counter(line for message in datadog.messages for line in message.split("\n"))
    return expected - had


async def test_a_refused_key_parks_the_sink_keeps_everything_and_delays_nobody_else(shipper: Make) -> None:
    async with Emulator() as ignite, DatadogIntake() as datadog:
        pod = ignite.app("checkout").start_replica()
        pod.print_all([f"line {number}" for number in range(1_000)])
        daemon = shipper(ignite.endpoint, settings="shutdown: {timeout: 2s}")
        wrong = DATADOG.format(key="f" * 32, url=datadog.url)
        daemon.sinks = archive_of(daemon) + wrong
        await daemon.start()
        await daemon.until(delivered("local", 1_000))
        said = await daemon.until_said(r"datadog.*(403|key).*")
        assert "f" * 32 not in said
        assert await daemon.stop(within_s=20) == 0
        assert not datadog.logs, "what is kept is sent with the right key only"
        daemon.sinks = archive_of(daemon) + DATADOG.format(key=KEY, url=datadog.url)
        await daemon.start()
        await daemon.until(delivered("datadog", 1_000))
        assert await daemon.stop() == 0
        assert Counter(lines_of(datadog)) == Counter(f"line {number}" for number in range(1_000))


async def test_records_that_are_refused_become_dead_letters_and_can_be_sent_again(shipper: Make) -> None:
    async with Emulator() as ignite, DatadogIntake() as datadog:
        pod = ignite.app("checkout").start_replica()
        pod.print_all([f"line {number}" for number in range(64)])
        daemon = shipper(ignite.endpoint)
        daemon.sinks = archive_of(daemon) + DATADOG.format(key=KEY, url=datadog.url)
        datadog.refuse = lambda log: log["message"] == "line 17"
        await daemon.start()
        await daemon.until(delivered("datadog", 63))
        assert Counter(lines_of(datadog)) == Counter(f"line {n}" for n in range(64) if n != 17)
        (letter,) = map(
            json.loads, (await command(daemon, "deadletter", "list", "--output", "json")).splitlines()
        )
        assert (letter["sink"], letter["app"]) == ("datadog", "checkout")
        assert "line 17" in await command(daemon, "deadletter", "show", "--id", str(letter["id"]))
        datadog.refuse = lambda log: False
        assert "1" in await command(daemon, "deadletter", "replay", "--sink", "datadog", "--dry-run")
        await command(daemon, "deadletter", "replay", "--sink", "datadog")
        async with asyncio.timeout(20):
            while "line 17" not in datadog.messages:
                await asyncio.sleep(0.05)
        assert not await command(daemon, "deadletter", "list", "--output", "json")
        assert await daemon.stop() == 0


def lines_of(datadog: DatadogIntake) -> list[str]:
    """The messages that are lines of apps, without the events of their pods."""
    return [message for message in datadog.messages if message.startswith("line ")]


async def command(daemon: Shipper, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shipper", *words, "--config", str(daemon.folder / "shipper.yaml"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 30)
    if process.returncode != 0:
        pytest.fail(f"{words} ended with {process.returncode}: {err.decode()}")
    return out.decode()
