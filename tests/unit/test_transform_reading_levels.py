"""Levels are understood however they are written, and never guessed where none is."""

from __future__ import annotations

from typing import Any

import pytest

from shipper.entry import Level
from shipper.transform.levels import level_in_text, level_of_otel, level_of_python, level_of_value

T, D, I, W, E, F = Level  # noqa: E741


@pytest.mark.parametrize(
    ("level", "spellings"),
    [
        (
            T,
            [
                "trace",
                "TRACE",
                "Trace",
                "trc",
                "TRC",
                "verbose",
                "finest",
                "FINER",
                "silly",
                "1",
                7 + 3,
                10,
                19,
                "10",
            ],
        ),
        (D, ["debug", "DEBUG", "dbg", "DBG", "D", "fine", "7", 7, 20, "20", "dbug"]),
        (
            I,
            [
                "info",
                "INFO",
                "Information",
                "informational",
                "inf",
                "I",
                "notice",
                "NOTICE",
                5,
                6,
                30,
                "success",
                "ok",
            ],
        ),
        (W, ["warn", "WARN", "warning", "WARNING", "Warning", "wrn", "W", 4, 40, "40"]),
        (
            E,
            ["error", "ERROR", "err", "ERR", "E", "severe", "SEVERE", "fail", "eror", 3, 50, "50", " Error "],
        ),
        (
            F,
            [
                "fatal",
                "FATAL",
                "critical",
                "CRITICAL",
                "CRIT",
                "crit",
                "panic",
                "dpanic",
                "emerg",
                "alert",
                0,
                1,
                2,
                60,
            ],
        ),
    ],
)
def test_each_spelling_is_its_level(level: Level, spellings: list[Any]) -> None:
    for spelling in spellings:
        if spelling == "1":  # syslog's alert, not the lowest level
            assert level_of_value(spelling) is F
        else:
            assert level_of_value(spelling) is level, spelling


@pytest.mark.parametrize(
    "value",
    [
        *("", "unknown", "none", "off", "info!", "information about", "200", "500", "²", "x" * 10_000),
        *(8, 9, 70, 200, 404, -1, 10**30, 1.5, True, None, [], {}),
    ],
)
def test_what_is_no_level_is_none(value: Any) -> None:
    assert level_of_value(value) is None


def test_numbers_of_python_and_opentelemetry_have_their_own_scale() -> None:
    assert [level_of_python(number) for number in (5, 10, 20, 30, 40, 50, 60)] == [T, D, I, W, E, F, F]
    assert [level_of_otel(number) for number in (1, 4, 5, 9, 12, 13, 17, 21, 24)] == [
        T,
        T,
        D,
        I,
        I,
        W,
        E,
        F,
        F,
    ]
    assert [level_of_python(number) for number in (0, -1, 61, "40", True)] == [None] * 5
    assert [level_of_otel(number) for number in (0, 25, "9")] == [None] * 3


@pytest.mark.parametrize(
    ("line", "level"),
    [
        # first on the line
        ("ERROR something broke", E),
        ("ERROR: something broke", E),
        ("error: something broke", E),
        ("[ERROR] something broke", E),
        ("[error] something broke", E),
        ("Warning: deprecated", W),
        ("INFO:     10.0.0.7:1234 - GET /", I),
        ("ERROR:root:something broke", E),
        ("WARN | slow", W),
        ("<3>something broke", E),
        ("<14>Nov 24 10:00:00 host app: fine", I),
        ("(debug) detail", D),
        # after a time
        ("2026-11-24 10:00:00,123 ERROR something broke", E),
        ("2026-11-24 10:00:00,123 - orders.store - ERROR - something broke", E),
        ("2026-11-24 10:00:00.123  WARN 1 --- [main] c.a.Shop : slow", W),
        ("2026-11-24T10:00:00.123Z\tINFO\tshop/main.go:7\tready", I),
        ("2026-11-24T10:00:00Z  INFO shop: ready", I),
        ("[2026-11-24T10:00:00Z ERROR shop::store] broke", E),
        ("[2026-11-24 10:00:00 +0000] [7] [CRITICAL] worker died", F),
        ("2026/11/24 10:00:00 [error] 7#7: *1 upstream timed out", E),
        ("10:00:00.123 [main] INFO  com.acme.Shop - ready", I),
        ("[10:00:00 INF] ready", I),
        ("2026-11-24 10:00:00.123 | SUCCESS  | __main__:<module>:1 - done", None),
        ("2026-11-24 10:00:00.123 | WARNING  | __main__:<module>:1 - slow", W),
        ("2026-11-24 10:00:00.123 UTC [7] ERROR:  relation does not exist", E),
        ("2026-11-24 10:00:00.123 UTC [7] LOG:  ready", I),
        ("[2026-11-24T10:00:00.123+00:00] app.ERROR: broke [] []", E),
        ("2026-11-24 10:00:00.123 UTC FATAL: no", F),
        ("Mon Nov 24 10:00:00.123 2026 [core:error] [pid 7] broke", E),
        ("E, [2026-11-24T10:00:00.123456 #7] ERROR -- : broke", E),
        ("Dec 10 07:51:15 host sshd[7]: error: Received disconnect", E),
        ("081109 203615 148 INFO dfs.DataNode$PacketResponder: done", I),
        # klog, logcat, logrus, logfmt, ASP.NET, java.util.logging
        ("E1124 10:00:00.123456       7 server.go:7] broke", E),
        ("I1124 10:00:00.123456       7 server.go:7] ready", I),
        ("W/ActivityManager( 1702): slow", W),
        ("11-24 10:00:00.123  1702  2395 D WindowManager: printed", D),
        ("WARN[0007] slow", W),
        ('time="2026-11-24T10:00:00Z" level=warning msg="got ERROR from there"', W),
        ("level=error ts=2026-11-24T10:00:00Z msg=broke", E),
        ("ts=2026 lvl=dbug msg=x", D),
        ("severity: critical, it broke", F),
        ('prefix {"level":"warn","msg":"x"}', W),
        ("fail: Microsoft.AspNetCore.Server.Kestrel[13]", E),
        ("info: Microsoft.Hosting.Lifetime[0]", I),
        ("SEVERE: could not open", E),
        # coloured
        ("\x1b[32mINFO\x1b[0m ready", I),
        ("\x1b[2m2026-11-24T10:00:00Z\x1b[0m \x1b[31mERROR\x1b[0m broke", E),
    ],
)
def test_a_logger_s_shape_is_recognised_in_text(line: str, level: Level | None) -> None:
    assert level_in_text(line) is level


@pytest.mark.parametrize(
    "line",
    [
        "",
        "something broke",
        "the ERROR was not ours",
        "user asked for INFO page",
        "erroneous",
        "ERROR_CODE=7",
        "informal talk: at ten",
        "GET /error HTTP/1.1",
        "INFORMATIONS",
        "debugging is fun",
        "no level here, WARNING signs or not",
        "x" * 100_000,
        "x" * 200 + " [ERROR] too late",
        "\x1b[",
    ],
)
def test_a_level_in_the_middle_of_a_sentence_is_none(line: str) -> None:
    assert level_in_text(line) is None
