"""The document: the verdict first, then what it rests on, then everything else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from shipper.telemetry.facts import Query
from shipper.telemetry.page import flow, stores
from shipper.telemetry.page.markup import Content, Markup, join, tag
from shipper.telemetry.page.parts import NOTHING, clock, number, pairs
from shipper.telemetry.words import lasting

Json = Mapping[str, Any]

_HERE: Final = Path(__file__).parent
_PAGES: Final = ("/api/status", "/metrics", "/healthz", "/readyz")
_WORDS: Final = {"critical": "Act now", "warning": "Look", "note": "Note"}


def document(status: Json, query: Query) -> str:
    """The page for an answer of /api/status."""
    return _document(
        f"{status['verdict']['text']} shipper {status['platform']['organization']}",
        tag("p", status["platform"]["organization"]),
        status["at"],
        _verdict(status),
        _glance(status),
        stores.sinks(status),
        stores.gaps(status),
        stores.drops(status),
        stores.buffer(status),
        flow.apps(status, query),
        flow.replicas(status, query),
        flow.reconnects(status),
        flow.platform(status),
        stores.configuration(status),
        stores.process(status),
    )


def starting(reasons: Mapping[str, str], at: str) -> str:
    """The page while there is nothing to show yet."""
    waits = tag("ul", *(tag("li", f"{name}: {reason}") for name, reason in reasons.items()))
    answer = tag("div", tag("p", "shipper is starting."), class_="verdict warning")
    return _document("shipper is starting", None, at, answer, waits)


def policy() -> str:
    """The Content-Security-Policy of the page: its own style and script by their hashes, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_hash(_asset('style.css'))}'; script-src '{_hash(_asset('live.js'))}'; "
        "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _document(title: str, about: Markup | None, at: str, *content: Content) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("link", rel="icon", href="data:,"),
        tag("noscript", tag("meta", http_equiv="refresh", content="30")),
        tag("style", Markup(_asset("style.css"))),
    )
    pause = tag("button", "Pause", id="pause", type="button", aria_pressed="false", hidden=True)
    header = tag(
        "header",
        tag("h1", "shipper"),
        about,
        tag("div", tag("span", "as of ", clock(at), " UTC", id="as-of"), pause, class_="live"),
    )
    main = tag(
        "main",
        tag("p", id="stale", class_="stale", role="alert"),
        tag("div", *content, id="facts"),
        id="main",
    )
    links = join(*(join(tag("a", page, href=page), " ") for page in _PAGES))
    body = tag(
        "body",
        tag("a", "Skip to the verdict", href="#main", class_="skip"),
        header,
        main,
        tag("footer", links),
        tag("script", Markup(_asset("live.js"))),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _verdict(status: Json) -> Markup:
    known = status["verdict"]
    # Only the answer itself is read out when it changes; ages in the findings change all the time.
    answer = tag("p", known["text"], role="status", aria_live="polite")
    findings = tag("ul", *(_finding(one) for one in known["findings"]), class_="findings")
    return tag(
        "section",
        tag("div", answer, class_=f"verdict {known['level']}"),
        findings if known["findings"] else None,
        aria_label="Is anything being lost?",
    )


def _finding(finding: Json) -> Markup:
    level = finding["level"]
    todo = tag("small", "What to do: ", finding["todo"]) if finding["todo"] else None
    return tag("li", tag("b", _WORDS.get(level, level)), finding["text"], todo, class_=level)


def _glance(status: Json) -> Markup:
    gaps, drops, buffer = status["gaps"], status["drops"], status["buffer"]
    oldest = max((sink["oldest_unacknowledged_seconds"] or 0.0 for sink in status["sinks"]), default=0.0)
    waiting = max((sink["backlog_records"] for sink in status["sinks"]), default=0)
    share = buffer["bytes"] / buffer["limit_bytes"] if buffer["limit_bytes"] else 0.0
    streams = status["streams"].get("logs", {})
    return pairs(
        ("Gaps, last 15 min", _lately(gaps)),
        ("Records lost, last 15 min", _lately(drops)),
        ("Records in, a second", number(status["received"]["records_per_second"])),
        ("Log streams live", f"{streams.get('live', 0):,} of {sum(streams.values()):,}"),
        (
            "Waiting for a sink",
            join(number(waiting), tag("small", f"oldest {lasting(oldest) if oldest else NOTHING}")),
        ),
        ("Buffer", f"{share:.1%}"),
        class_="tiles",
    )


def _lately(windows: Json) -> Markup:
    day, start = windows["last_24_hours"]["total"], windows["since_start"]["total"]
    return join(
        number(windows["last_15_minutes"]["total"]),
        tag("small", f"{day:,} in 24 h, {start:,} since start"),
    )


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
