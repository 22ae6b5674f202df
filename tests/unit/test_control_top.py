"""The picture of `shipper top` fits its terminal and is safe for it; what goes wrong with asking is said."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from shipper.config.endpoint import Address
from shipper.control.top import Asked, Unreachable, address_of
from shipper.control.top_view import everything, picture
from shipper.telemetry.facts import Facts, Query
from shipper.telemetry.recent import Counts
from shipper.telemetry.status import status
from tests.fakes.facts import NOW_MS, collect, facts, replica, sink, stream

HOSTILE = "evil\x1b[31m\x1b]0;pwn\x07[bold red]x[/]\u202e\r\n"


def crowd() -> Facts:
    counts = Counts()
    counts.gaps(2, ("rotated",))
    replicas = [replica(n, f"app-{n % 7}", stream("waiting")) for n in range(300)]
    sinks = [sink(f"sink-{n}", "parked", error="403 " * 50, error_ms=NOW_MS) for n in range(20)]
    query = Query(limit=200)
    return facts(counts=counts, query=query, sinks=sinks, collect=collect(replicas, query))


def drawn(known: Facts, width: int, height: int, **more: str) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture(status(known), width, height, **more))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("known", [facts(), crowd()], ids=["well", "crowd"])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 18), (200, 60), (40, 16)])
def test_the_picture_fits_the_terminal(known: Facts, width: int, height: int) -> None:
    lines = drawn(known, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_the_picture_says_what_matters_first() -> None:
    lines = drawn(crowd(), 120, 40)
    assert lines[1].strip() == "Records were lost in the last 15 minutes."
    text = "\n".join(lines)
    assert "■ parked" in text
    assert "▲ waiting" in text
    assert "1 to " in text
    assert "of 300 replicas" in text


def test_what_is_wrong_is_said_whole_with_what_to_do_where_there_is_room() -> None:
    parked = facts(sinks=(sink("archive", "parked", error="403 " * 40 + "end", error_ms=NOW_MS),))
    whole = " ".join(" ".join(drawn(parked, 120, 40)).split())
    assert "403 end" in whole
    assert "nothing is lost while the buffer has room" in whole
    short = drawn(parked, 120, 12)
    assert len(short) <= 12
    assert "…" in short[2]


def test_a_daemon_that_does_not_answer_is_told_beside_what_was_last_known() -> None:
    lines = drawn(
        facts(), 80, 24, note="NO ANSWER since 20:15:00", problem="http://x does not answer: refused"
    )
    assert "NO ANSWER since 20:15:00" in lines[0]
    assert "Nothing is being lost." in lines[1]
    assert "does not answer: refused" in lines[-1]


def test_no_name_and_no_error_reaches_the_terminal_as_it_is() -> None:
    known = facts(
        sinks=(sink(HOSTILE, "failing", error=HOSTILE, error_ms=NOW_MS),),
        collect=collect([replica(0, HOSTILE, stream(reason=HOSTILE))]),
    )
    for shown in (drawn(known, 120, 40), drawn(known, 80, 24, problem=HOSTILE, note=HOSTILE)):
        assert all(line.isprintable() for line in shown)
        assert "[bold red]x" in "\n".join(shown), "what looks like markup is shown as it is"


def test_all_of_it_has_every_row_and_what_to_do() -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(everything(status(crowd())))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("sink-") >= 20
    assert "whether the app prints more than the platform" in " ".join(text.split())


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("127.0.0.1", 9464), "http://127.0.0.1:9464"),
        (Address("0.0.0.0", 9464), "http://127.0.0.1:9464"),
        (Address("::", 9464), "http://[::1]:9464"),
        (Address("metrics.internal", 80), "http://metrics.internal:80"),
    ],
)
def test_a_daemon_is_asked_where_it_listens(address: Address, url: str) -> None:
    assert address_of(address) == url


def test_a_daemon_that_listens_nowhere_cannot_be_asked() -> None:
    with pytest.raises(Unreachable, match=r"telemetry\.listen is null"):
        address_of(None)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "ftp://x", "file:///etc/passwd", "nonsense", "http://[", ""]
)
def test_an_address_that_does_not_answer_is_named(url: str) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        Asked(url).fetch(0, 10)


def test_the_status_has_what_the_picture_needs_without_the_configuration() -> None:
    from shipper.control import top

    answer: dict[str, Any] = status(facts(), top._ONLY.split(","))
    assert "configuration" not in answer
    console = Console(file=io.StringIO(), width=80)
    console.print(picture(answer, 80, 24))
