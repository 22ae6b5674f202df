"""A secret is in the request that needs it, and nowhere else."""

from __future__ import annotations

import argparse
import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shipper import cli
from shipper.emulator import Emulator, Scenario
from shipper.ignite.auth import FixedToken, Grant, TokenFile
from shipper.ignite.proxy import Proxy
from shipper.ignite.token_endpoint import TokenEndpoint
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.s3.options import S3Options
from shipper.sinks.sentry.intake import Address
from shipper.sinks.sentry.options import SentryOptions
from tests.e2e.daemon_process import Shipper
from tests.security.clients import SECRET
from tests.servers.process import free_port

DSN = f"https://{SECRET}@sentry.example/1"

PAGES = ("/metrics", "/healthz", "/readyz", "/", "/api/status", "/api/config", "/debug")
SECRETS = {
    "token": "token-0badc0de-0badc0de",
    "header": "header-0badc0de-0badc0de",
    "datadog": "dd0badc0de0badc0de0badc0de0badc0",
    "sentry": "5e0badc0de0badc0de0badc0de0badc0",
    "s3": "s3-0badc0de-0badc0de-0badc0de",
    "session": "session-0badc0de-0badc0de",
}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Shipper]:
    """One whose sinks all fail, since failures are what is talked about."""
    dead = free_port()
    sinks = f"""
  search: {{type: datadog, api_key: {SECRETS["datadog"]}, endpoint_url: "http://127.0.0.1:{dead}"}}
  errors: {{type: sentry, dsn: "http://{SECRETS["sentry"]}@127.0.0.1:{dead}/1"}}
  archive: {{type: s3, bucket: logs, region: eu-central-1, endpoint_url: "http://127.0.0.1:{dead}",
    access_key_id: AKIAEXAMPLE, secret_access_key: {SECRETS["s3"]}, session_token: {SECRETS["session"]},
    batch: {{max_age: 500ms}}}}
"""
    async with Emulator(Scenario(token=SECRETS["token"])) as ignite:
        ignite.app("checkout").start_replica().print_all(["one", "two", "ValueError: three"])
        daemon = Shipper(
            tmp_path,
            ignite.endpoint,
            token=SECRETS["token"],
            sinks=sinks,
            ignite=f"  headers: {{x-tenant: {SECRETS['header']}}}",
            settings="log: {level: debug}\nshutdown: {timeout: 1s}",
        )
        await daemon.start()
        try:
            yield daemon
        finally:
            await daemon.make_sure_it_is_gone()


def page(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def shown(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in text]


async def test_no_page_no_log_and_no_argument_shows_a_secret(daemon: Shipper) -> None:
    def failing(seen: dict[str, float]) -> bool:
        return all(
            any(
                value > 0
                for series, value in seen.items()
                if series.startswith("shipper_sink_requests_total") and f'sink="{sink}"' in series
            )
            for sink in ("search", "archive")
        )

    await daemon.until(failing, 20)
    for path in PAGES:
        text = await asyncio.to_thread(page, f"http://127.0.0.1:{daemon.port}{path}")
        assert shown(text) == [], path
    assert daemon.process is not None
    proc = Path(f"/proc/{daemon.process.pid}")
    assert shown((proc / "cmdline").read_text()) == []
    assert re.search(r"Max core file size\s+0\b", (proc / "limits").read_text())
    await daemon.stop()
    said = daemon.said()
    assert "search" in said  # the failures were talked about
    assert shown(said) == []
    for file in (daemon.folder / "buffer").iterdir():  # stopped: the control socket is gone
        assert shown(file.read_bytes().decode("latin-1")) == [], file


@pytest.mark.parametrize(
    "holder",
    [
        FixedToken(SECRET),
        TokenFile(Path("/token"), SECRET),
        Grant(SECRET, 60.0),
        TokenEndpoint("https://id.example/token", "account", SECRET),
        Proxy("proxy.example", 3128, f"user:{SECRET}"),
        DatadogOptions(api_key=SECRET),
        S3Options(bucket="logs", access_key_id="AKIAEXAMPLE", secret_access_key=SECRET, session_token=SECRET),
        SentryOptions(dsn=DSN),
        Address.of(DSN),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_what_holds_a_secret_does_not_print_it(holder: object) -> None:
    assert SECRET not in repr(holder)
    assert SECRET not in str(holder)
    assert SECRET not in f"{holder}"


def test_no_command_takes_a_secret_as_an_argument() -> None:
    """Every user of a machine sees the arguments of every process. The emulator's own, for tests, are no secrets."""
    words = re.compile("token|secret|key|password|dsn", re.IGNORECASE)
    options = [option for command in COMMANDS for option in options_of(command)]
    assert {"--config", "--id", "--output"} <= set(options)
    assert [option for option in options if words.search(option)] == []


COMMANDS = ("run", "check", "demo", "deadletter", "schema")


def options_of(command: str) -> Iterator[str]:
    parsers: list[argparse.ArgumentParser] = []
    parse = cli._Parser.parse_args

    def remembered(self: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
        parsers.append(self)
        return argparse.Namespace()

    cli._Parser.parse_args = remembered  # type: ignore[assignment, method-assign]
    try:
        cli._parse([command])
    finally:
        cli._Parser.parse_args = parse  # type: ignore[method-assign]
    while parsers:
        for action in parsers.pop()._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                parsers.extend(action.choices.values())
