"""A line of the log is one line, says who and what, repeats itself rarely, and never a secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from shipper.telemetry.lines import LONGEST_VALUE
from shipper.telemetry.log import SWEEP_S, Logging, configure, on_loop_exception
from shipper.telemetry.redaction import MARK, Redaction
from shipper.telemetry.repeats import PER_WINDOW, Repeats
from tests.virtual_time import virtual_time

log = logging.getLogger("shipper.deliver")


@dataclass
class Printed:
    """A configured log and what it printed; its clock is moved by hand."""

    stream: io.StringIO = field(default_factory=io.StringIO)
    now: float = 100.0
    suppressed: list[int] = field(default_factory=list)
    logging: Logging | None = None

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


def fail(message: str) -> None:
    raise ValueError(message)


@contextmanager
def printed(form: str = "text", level: str = "info", secrets: tuple[str, ...] = ()) -> Iterator[Printed]:
    it = Printed()
    root = logging.getLogger()
    others, root.handlers[:] = list(root.handlers), []  # pytest's own handlers raise where ours must not
    it.logging = configure(form, level, stream=it.stream, secrets=secrets, clock=lambda: it.now)
    it.logging.count_suppressed(it.suppressed.append)
    try:
        yield it
    finally:
        it.logging.close()
        root.handlers[:] = others


def test_a_text_line_has_time_level_area_message_and_fields() -> None:
    with printed() as it:
        log.warning(
            "the sink fails",
            extra={"error": "no route to host", "sink": "archive", "attempt": 3, "seconds": 1.23456},
        )
    (line,) = it.lines
    time, rest = line.split(" ", 1)
    assert (
        rest == 'WARN  deliver: the sink fails sink=archive attempt=3 seconds=1.235 error="no route to host"'
    )
    assert len(time) == len("2026-01-02T03:04:05.678Z")
    assert time.endswith("Z")


def test_form_and_level_can_change_between_two_lines() -> None:
    """Other libraries stay at warnings."""
    with printed() as it:
        assert it.logging is not None
        log.debug("unsaid")
        it.logging.change("json", "debug")
        log.debug("said")
        logging.getLogger("other").info("unsaid")
        it.logging.change("text", "error")
        log.warning("unsaid")
    (line,) = it.lines
    assert json.loads(line)["message"] == "said"


def test_a_json_line_is_one_object_with_the_same() -> None:
    with printed("json") as it:
        log.error("refused: %s", "no", extra={"app": "acme/shop", "key": "k", "retry": True})
    (entry,) = it.entries
    assert entry.pop("time")
    assert entry == {
        "level": "error",
        "area": "deliver",
        "message": "refused: no",
        "app": "acme/shop",
        "key": "k",
        "retry": True,
    }


def test_an_extra_does_not_take_the_place_of_what_every_line_has() -> None:
    with printed("json") as it:
        log.error("x", extra={"level": "forged", "time": "forged", "area": "forged"})
    (entry,) = it.entries
    assert (entry["level"], entry["level_"], entry["area_"]) == ("error", "forged", "forged")


EVIL = "a\n2026-01-01T00:00:00.000Z ERROR forged\r\x1b[31m\x00\x85\u2028\u202e\ud800"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_value_can_forge_a_line_or_drive_a_terminal(form: str) -> None:
    with printed(form) as it:
        log.error("message with %s", EVIL, extra={"app": EVIL, "error": EVIL})
        try:
            fail(EVIL)
        except ValueError:
            log.exception("it failed")
    output = it.stream.getvalue()
    assert all(character == "\n" or character.isprintable() for character in output)
    assert not any(line.startswith("2026-01-01") for line in it.lines)
    if form == "json":
        assert it.entries[0]["error"] == EVIL
        assert len(it.lines) == 2


def test_a_value_cannot_end_its_own_quotes() -> None:
    with printed() as it:
        log.error("x", extra={"error": 'no\\" app=forged "', "app": "a=b", "key": "plain/key-1.2:3"})
    assert it.lines[0].endswith('x app="a=b" key=plain/key-1.2:3 error="no\\\\\\" app=forged \\""')


def test_a_traceback_is_indented_below_its_line() -> None:
    with printed() as it:
        try:
            fail("first\nsecond")
        except ValueError:
            log.exception("it failed")
    assert it.lines[0].endswith("ERROR deliver: it failed")
    assert it.lines[1] == "    | Traceback (most recent call last):"
    assert all(line.startswith("    | ") for line in it.lines[1:])


def test_a_line_of_ten_megabytes_is_cut() -> None:
    with printed() as it:
        log.error("got %s", "x" * 10_000_000, extra={"error": "y" * 10_000_000})
    assert len(it.lines[0]) < 3 * LONGEST_VALUE
    assert "more characters)" in it.lines[0]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_is_logged_a_line_comes_of_it(form: str) -> None:
    with printed(form) as it:
        log.error("%d replicas", "many")
        log.error(Unprintable())
        log.error(
            "x", extra={"error": Unprintable(), "app": b"\xff", "seconds": float("nan"), "key": float("inf")}
        )
        log.error("none", extra={"app": None})
    assert len(it.lines) == 4
    assert "replicas" in it.lines[0]
    assert "unprintable" in it.lines[2]
    assert "app" not in it.lines[3]


def test_the_level_is_of_shippers_own_records_and_others_speak_from_warning_on() -> None:
    with printed(level="debug") as it:
        log.debug("own")
        logging.getLogger("botocore").debug("secret headers")
        logging.getLogger("botocore").info("chatter")
        logging.getLogger("aiohttp").warning("real", extra={"noise": "not made for reading"})
    assert [line.split(" ", 1)[1] for line in it.lines] == ["DEBUG deliver: own", "WARN  aiohttp: real"]
    with printed(level="error") as it:
        log.warning("quiet")
        logging.getLogger("aiohttp").warning("quiet")
    assert it.lines == []


def test_after_close_logging_is_as_it_was() -> None:
    root, own = logging.getLogger(), logging.getLogger("shipper")
    before = (root.level, own.level, list(root.handlers))
    with printed(level="debug"):
        assert (root.level, own.level, list(root.handlers)) != before
    assert (root.level, own.level, list(root.handlers)) == before


def test_a_python_warning_is_a_line_too() -> None:
    with printed() as it, warnings.catch_warnings():
        warnings.simplefilter("always")
        assert it.logging is not None
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old api", UserWarning, stacklevel=1)
    assert "old api" in it.lines[0]


def test_a_stream_that_is_gone_raises_nothing() -> None:
    with printed() as it:
        it.stream.close()
        log.error("x")


def test_a_stream_that_cannot_write_unicode_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    configured = configure("text", "info", stream=stream)
    log.error("grün")
    configured.close()
    assert b"gr\\xfcn" in raw.getvalue()


def test_the_same_cause_is_summed_up_after_its_minute() -> None:
    with printed() as it:
        for number in range(PER_WINDOW + 240):
            log.warning("sink answered %d", number, extra={"sink": "archive", "app": "acme/shop"})
        assert len(it.lines) == PER_WINDOW
        it.now += 61
        log.info("something else")
    summary = it.lines[PER_WINDOW]
    assert f"sink answered {PER_WINDOW + 239} … repeated 240 times in the last minute" in summary
    assert summary.endswith("app=acme/shop sink=archive")
    assert it.lines[PER_WINDOW + 1].endswith("something else")
    assert it.suppressed == [240]


def test_causes_differ_by_logger_level_template_app_and_sink() -> None:
    with printed() as it:
        for _ in range(50):
            for app in ("a", "b"):
                log.warning("one", extra={"app": app, "sink": "s"})
                log.warning("one", extra={"app": app, "sink": "t"})
            log.warning("two")
            log.error("two")
            logging.getLogger("shipper.collect").error("two")
        assert len(it.lines) == 7 * PER_WINDOW


def test_after_its_minute_a_cause_may_speak_again() -> None:
    with printed() as it:
        for _ in range(3):
            for _ in range(PER_WINDOW):
                log.warning("one")
            it.now += 60
    assert len(it.lines) == 3 * PER_WINDOW
    assert it.suppressed == []


def test_what_was_held_back_is_told_at_the_end() -> None:
    with printed() as it:
        for _ in range(PER_WINDOW + 1):
            log.warning("one")
        it.now += 12
    assert it.lines[-1].endswith("one … repeated once in the last 12 s")


@virtual_time
async def test_sums_come_in_time_even_when_nothing_else_is_logged() -> None:
    with printed() as it:
        assert it.logging is not None
        sweeping = asyncio.create_task(it.logging.run(), name="log sums")
        for _ in range(PER_WINDOW + 5):
            log.warning("one")
        it.now += 60
        await asyncio.sleep(SWEEP_S + 1)
        assert len(it.lines) == PER_WINDOW + 1
        sweeping.cancel()
        await asyncio.wait([sweeping])


def test_many_causes_do_not_take_memory_without_bound() -> None:
    repeats = Repeats(per_window=1)
    summed = 0
    for number in range(10_000):
        summed += sum(repeated.times for repeated in repeats.ended(0.0))
        for _ in range(2):
            repeats.admit(logging.makeLogRecord({"msg": f"message {number}"}), 0.0)
    assert len(repeats._windows) <= 2001
    summed += sum(repeated.times for repeated in repeats.ended(0.0, all_of_them=True))
    assert summed == 10_000


def test_a_record_that_is_held_back_keeps_no_traceback_alive() -> None:
    repeats = Repeats(per_window=0)
    try:
        fail("x")
    except ValueError as error:
        record = logging.LogRecord(
            "shipper.x", 40, "f", 1, "failed: %s", ([0] * 1000,), (ValueError, error, error.__traceback__)
        )
    repeats.admit(record, 0.0)
    (repeated,) = repeats.ended(0.0, all_of_them=True)
    assert repeated.record.exc_info is None
    assert repeated.record.args is None
    assert record.exc_info is not None


SECRET = 'p@ss"word/with+everything=\n'


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_registered_secret_is_never_printed(form: str) -> None:
    with printed(form, secrets=(SECRET, "tok-123456")) as it:
        log.error(
            "token tok-123456 refused: %s",
            SECRET,
            extra={"error": f"https://x/?p={SECRET}", "key": repr(SECRET)},
        )
        log.error("quoted p%40ss%22word%2Fwith%2Beverything%3D%0A and " + json.dumps({"p": SECRET}))
        try:
            fail(f"bad {SECRET} here")
        except ValueError:
            log.exception("failed")
    output = it.stream.getvalue()
    for part in ("tok-123456", "everything", "word/with"):
        assert part not in output
    assert MARK in output


def test_secrets_that_come_later_are_hidden_and_short_ones_are_not_guessed_at() -> None:
    with printed() as it:
        assert it.logging is not None
        it.logging.redaction.add("bearer-abcdef")
        it.logging.redaction.add("a")
        it.logging.redaction.add("")
        log.error("a bearer-abcdef arrived")
    assert it.lines[0].endswith(f"a {MARK} arrived")


def test_a_secret_inside_a_longer_one_leaves_no_rest() -> None:
    redaction = Redaction()
    redaction.add("secret")
    redaction.add("secret-and-more")
    assert redaction.apply("secret-and-more") == MARK


def test_the_number_of_secrets_is_bounded_and_their_repr_tells_nothing() -> None:
    redaction = Redaction()
    for number in range(1000):
        redaction.add(f"token-{number:06d}")
    assert redaction.apply("token-000999") == MARK
    assert "token" not in repr(redaction)
    assert len(redaction._secrets) <= 64


@virtual_time
async def test_an_error_that_nobody_awaited_is_one_line() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(on_loop_exception)
    with printed("json") as it:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)
        loop.call_exception_handler({"message": "odd", "future": loop.create_future()})
    first, second = it.entries
    assert first["area"] == "loop"
    assert "ZeroDivisionError" in str(first["exception"])
    assert second["message"] == "odd; the daemon goes on"


def test_an_unknown_format_or_level_is_an_error() -> None:
    with pytest.raises(ValueError, match="yaml"):
        configure("yaml", "info")
    with pytest.raises(KeyError):
        configure("text", "loud")
