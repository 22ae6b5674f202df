"""/api/status is one documented object of bounded size without secrets and log lines; the page shows the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest

import shipper
from shipper.model import GapReason
from shipper.telemetry.facts import ConfigFacts, Facts, Feature, PlatformFacts, Query, ReloadFacts
from shipper.telemetry.page.document import document, policy, starting
from shipper.telemetry.page.markup import Markup, tag
from shipper.telemetry.recent import Counts
from shipper.telemetry.status import status
from shipper.telemetry.words import bytes_of, instant, lasting, many
from tests.fakes.facts import NOW_MS, collect, facts, gap, replica, sink, stream

REFERENCE = Path(shipper.__file__).parents[1] / "docs" / "status.md"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\u202e\x00\ud800</td>"
VOID = {"meta", "link", "input", "br"}


def crowd(count: int, query: Query | None = None) -> Facts:
    query = query or Query()
    replicas = [replica(number, f"app-{number % 40:02d}") for number in range(count)]
    return facts(query=query, collect=collect(replicas, query))


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Every key by its path; items of lists and names that the platform or a person chose are one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}{key}"
            yield from keys(inner, f"{path}{key}.")
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, path)


def full() -> Facts:
    """Something of everything."""
    counts = Counts()
    counts.gaps(1, ("rotated",))
    counts.drops(2, ("search", "buffer_full"))
    counts.reconnects(3, ("logs", "retry"))
    counts.received(4, ("logs",))
    return facts(
        counts=counts,
        gaps=(gap(),),
        sinks=(sink(error="503", error_ms=NOW_MS - 5_000, retry_ms=NOW_MS + 1_000),),
        platform=PlatformFacts("grpcs://x:443", "acme-corp", "gRPC", "token", error="x", error_ms=1),
        config=ConfigFacts("f", NOW_MS, {}, ReloadFacts(NOW_MS, "bad")),
    )


def test_every_key_is_in_the_reference() -> None:
    written = set(re.findall(r"`([a-z0-9_.]+)`", REFERENCE.read_text(encoding="utf-8")))
    free = (
        "by_reason.",
        "lost.",
        "left_out.",
        "by_kind.",
        "streams.",
        "states.",
        "since_start.",
        "not_ready.",
        "settings.",
    )
    missing = []
    for path in keys(status(full())):
        if any(part in path for part in free):
            continue
        path = path.replace("last_24_hours.", "last_15_minutes.").replace(
            "received.since_start.", "received."
        )
        if path not in written and path.rpartition(".")[2] not in written:
            missing.append(path)
    assert missing == []


def test_the_answer_says_its_version_and_when_it_was_made() -> None:
    answer = status(facts())
    assert (answer["v"], answer["at"]) == (1, instant(NOW_MS))
    assert answer["verdict"] == {"level": "ok", "text": "Nothing is being lost.", "findings": []}


def test_gaps_are_counted_by_reason_and_the_newest_are_listed_first() -> None:
    counts = Counts()
    counts.gaps(2, ("rotated",))
    gaps = [gap(ago_s=100), gap(GapReason.REPLICA_GONE, ago_s=10, lost=12)]
    answer = status(facts(counts=counts, gaps=gaps))["gaps"]
    assert answer["last_15_minutes"] == {"total": 2, "by_reason": {"rotated": 2}}
    assert [(one["reason"], one["lost"]) for one in answer["recent"]] == [
        ("replica_gone", 12),
        ("rotated", None),
    ]
    many_gaps = status(facts(gaps=[gap(ago_s=n) for n in range(500)]))["gaps"]["recent"]
    assert len(many_gaps) == 100


def test_losses_are_told_from_records_that_are_left_out() -> None:
    counts = Counts()
    counts.drops(7, ("search", "buffer_full"))
    counts.drops(9, ("search", "sampled"))
    answer = status(facts(counts=counts))["drops"]["since_start"]
    assert answer == {
        "total": 7,
        "lost": {"search": {"buffer_full": 7}},
        "left_out": {"search": {"sampled": 9}},
    }


def test_a_subscription_says_its_state_lag_and_why_its_last_stream_ended() -> None:
    one = stream("waiting", quiet_s=90, reconnects=4, reason="UNAVAILABLE: cut")
    (item,) = status(facts(collect=collect([replica(3, "mail", one)])))["replicas"]["items"]
    (said,) = item["subscriptions"]
    assert item["replica"] == "mail-7c9d8f6b5-00003"
    assert (said["state"], said["lag_seconds"], said["reconnects"]) == ("waiting", 90.0, 4)
    assert said["last_end"] == "UNAVAILABLE: cut"


def test_replicas_come_in_pages() -> None:
    answer = status(crowd(250, Query(offset=200, limit=100)))["replicas"]
    assert (answer["total"], answer["matching"], answer["offset"], len(answer["items"])) == (
        250,
        250,
        200,
        50,
    )
    answer = status(crowd(250, Query(app="app-01")))["replicas"]
    assert (answer["total"], answer["matching"]) == (250, 7)


@pytest.mark.parametrize(
    ("app", "name", "fits"),
    [
        ("", "shop", True),
        ("shop", "shop", True),
        ("sho", "shop", False),
        ("sho*", "shop", True),
        ("acme/shop", "shop", True),
        ("acme/*", "shop", True),
        ("other/*", "shop", False),
        ("[", "[", True),
        ("SHOP", "shop", False),
    ],
)
def test_names_and_globs_mean_what_they_mean_in_the_configuration(app: str, name: str, fits: bool) -> None:
    assert Query(app=app).takes_app("acme", name) is fits


def test_single_keys_can_be_asked_for() -> None:
    assert set(status(facts(), ["verdict", "sinks", "nonsense"])) == {"v", "at", "verdict", "sinks"}


def test_texts_of_others_are_bounded_and_can_be_encoded() -> None:
    long = sink(error="\ud800" + "x" * 100_000, error_ms=NOW_MS)
    answer = status(facts(sinks=(long,), collect=collect([replica(0, "\ud800" * 5)])))
    assert len(orjson.dumps(answer)) < 10_000
    assert len(answer["sinks"][0]["last_error"]["text"]) == 500


def test_absurd_times_are_left_out_and_break_nothing() -> None:
    for absurd in (10**18, -(10**18), 2**63 - 1):
        item = replica(0, "checkout", stream(newest_ms=absurd))
        answer = status(facts(collect=collect([item])))
        assert answer["replicas"]["items"][0]["subscriptions"][0]["newest_record_at"] is None
        assert document(answer, Query())


# ---- the page ----


class Outline(HTMLParser):
    """Checks that elements are closed in order, and collects what the page refers to and says."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.said.append(data)


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    return parsed


def hostile() -> Facts:
    return facts(
        gaps=(gap(replica_id=HOSTILE, detail=HOSTILE),),
        sinks=(sink(HOSTILE, "parked", error=HOSTILE, error_ms=NOW_MS),),
        collect=collect([replica(0, HOSTILE, stream(reason=HOSTILE))], problem=HOSTILE),
        platform=PlatformFacts(
            HOSTILE, HOSTILE, HOSTILE, HOSTILE, token_problem=HOSTILE, error=HOSTILE, error_ms=1,
            features=(Feature(HOSTILE, False, HOSTILE),),
        ),
        config=ConfigFacts(HOSTILE, NOW_MS, {HOSTILE: [HOSTILE]}, ReloadFacts(NOW_MS, HOSTILE)),
        unready={HOSTILE: HOSTILE},
        query=Query(app=HOSTILE, limit=7),
    )  # fmt: skip


@pytest.mark.parametrize(
    "known",
    [facts(), full(), crowd(1000, Query(limit=1000)), hostile()],
    ids=["well", "full", "many", "hostile"],
)
def test_the_page_is_well_formed_and_refers_to_nothing_outside(known: Facts) -> None:
    page = document(status(known), known.query)
    parsed = outline(page)
    for name, attributes in parsed.tags:
        assert "style" not in attributes
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href", "action"):
            assert re.match(r"(/(?!/)|#|data:,$)", attributes.get(key) or "/"), (name, attributes)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes.get("aria-labelledby") for _, attributes in parsed.tags} - {None}
    assert labels <= set(ids)


def test_what_comes_from_others_never_becomes_markup_nor_reaches_a_terminal_or_a_readers_eye_as_it_is() -> (
    None
):
    known = hostile()
    page = document(status(known), known.query)
    assert page.count("<script") == 1
    assert "alert(1)</script>" not in page
    for char in ("\x1b", "\u202e", "\x00", "\ud800"):
        assert char not in page
    assert "<script>alert(1)</script>" in "".join(outline(page).said), "it is shown as text"


def test_the_page_is_small() -> None:
    assert len(document(status(facts()), Query()).encode()) < 20_000
    known = crowd(1000, Query(limit=50))
    assert len(document(status(known), known.query).encode()) < 60_000


def test_every_table_has_a_caption_headers_with_scope_and_can_be_reached_by_keyboard() -> None:
    parsed = outline(document(status(full()), Query()))
    tables = [name for name, _ in parsed.tags if name == "table"]
    assert len(tables) == len([name for name, _ in parsed.tags if name == "caption"]) >= 4
    assert all(attributes.get("scope") in ("col", "row") for name, attributes in parsed.tags if name == "th")
    regions = [attributes for _, attributes in parsed.tags if attributes.get("class") == "scroll"]
    assert len(regions) == len(tables)
    assert all(one["tabindex"] == "0" and one["role"] == "region" and one["aria-label"] for one in regions)


def test_the_page_has_landmarks_and_reads_out_a_change_of_the_verdict_politely() -> None:
    parsed = outline(document(status(full()), Query()))
    names = [name for name, _ in parsed.tags]
    assert [names.count(one) for one in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    (answer,) = [attributes for _, attributes in parsed.tags if attributes.get("aria-live")]
    assert answer == {"role": "status", "aria-live": "polite"}
    assert all(attributes.get("lang") == "en" for name, attributes in parsed.tags if name == "html")


def test_the_page_says_the_verdict_before_anything_else() -> None:
    said = [text.strip() for text in outline(document(status(full()), Query())).said if text.strip()]
    main = said.index("Pause") + 1
    assert said[main] == "Records were lost in the last 15 minutes."


def test_the_policy_allows_the_pages_own_style_and_script_alone() -> None:
    assert policy().startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy()
    assert len(re.findall("sha256-", policy())) == 2


def test_the_page_of_a_daemon_that_starts_says_what_it_waits_for() -> None:
    page = starting({"buffer": f"not open {HOSTILE}"}, "2026-11-23T20:15:00.000Z")
    assert "shipper is starting" in page
    assert "buffer: not open &lt;script&gt;" in page
    outline(page)


def test_attributes_cannot_be_left_and_markup_is_made_by_tags_alone() -> None:
    assert (
        tag("a", '<"x">', title='"><b>', hidden=False)
        == '<a title="&quot;&gt;&lt;b&gt;">&lt;&quot;x&quot;&gt;</a>'
    )
    assert tag("p", tag("b", "x"), None, ["y", tag("br")]) == "<p><b>x</b>y<br></p>"
    assert isinstance(tag("p"), Markup)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (3_660, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_said_in_at_most_two_units(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_sizes_and_counts_are_said_in_words() -> None:
    assert [bytes_of(size) for size in (0, 1023, 1536, 10 << 30, 1 << 50)] == [
        "0 B", "1,023 B", "1.5 KiB", "10.0 GiB", "1,024.0 TiB",
    ]  # fmt: skip
    assert [many(1, "gap"), many(0, "gap"), many(2, "batch", "batches")] == ["1 gap", "0 gaps", "2 batches"]
