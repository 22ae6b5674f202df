"""The table is the only truth about series; the meter serves it in bounded size and never breaks a scrape."""

from __future__ import annotations

import math
import os
import re
import subprocess
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shipper import __version__
from shipper.model import GapReason, Kind
from shipper.telemetry.metrics import OTHER, SERIES, Label, Series, SeriesType
from shipper.telemetry.prometheus import PrometheusMeter

CONTRACT = {
    "records_received_total": ("kind",),
    "records_delivered_total": ("sink", "kind"),
    "records_dropped_total": ("sink", "reason"),
    "duplicates_suppressed_total": ("kind",),
    "gaps_total": ("reason",),
    "subscriptions": ("kind", "state"),
    "reconnects_total": ("kind", "reason"),
    "replicas": ("app",),
    "buffer_bytes": (),
    "buffer_limit_bytes": (),
    "sink_backlog_records": ("sink",),
    "sink_oldest_unacked_seconds": ("sink",),
    "sink_requests_total": ("sink", "outcome"),
    "delivery_seconds": ("sink",),
}


def samples(meter: PrometheusMeter) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of a scrape by its name and the values of its labels, in the order of the labels' names."""
    text = meter.render()[0].decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def own(name: str) -> bool:
    return name.startswith("shipper_")


def test_every_series_of_the_contract_is_declared_with_its_labels() -> None:
    declared = {series.name: tuple(label.name for label in series.labels) for series in SERIES}
    assert {name: declared.get(name) for name in CONTRACT} == CONTRACT


def test_the_table_follows_the_conventions_of_prometheus() -> None:
    """https://prometheus.io/docs/practices/naming/"""
    assert len({series.name for series in SERIES}) == len(SERIES)
    for series in SERIES:
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z]", series.name)
        assert series.name.endswith("_total") == (series.type is SeriesType.COUNTER)
        assert not series.name.endswith(("_count", "_sum", "_bucket", "_created"))
        assert series.help[0].isupper() or series.help.startswith(("buffer.", "1 "))
        assert series.help.endswith(".")
        assert bool(series.buckets) == (series.type is SeriesType.HISTOGRAM)
        assert list(series.buckets) == sorted(set(series.buckets))
        if series.unit in {"seconds", "bytes"} and series.type is not SeriesType.COUNTER:
            assert series.name.endswith(f"_{series.unit}")


def test_an_app_is_a_label_of_one_series_only() -> None:
    assert [series.name for series in SERIES if any(label.name == "app" for label in series.labels)] == [
        "replicas"
    ]


def test_only_labels_with_known_values_sinks_apps_and_what_runs_exist() -> None:
    free = {label.name for series in SERIES for label in series.labels if not label.values}
    assert free == {"sink", "app", "version", "sha256"}


def test_label_sets_that_can_be_named_are_there_from_the_start() -> None:
    found = samples(PrometheusMeter(sinks=["archive", "local"]))
    for reason in GapReason:
        assert found["shipper_gaps_total", (reason.value,)] == 0
    for sink in ("archive", "local"):
        assert found["shipper_sink_requests_total", ("retry", sink)] == 0
        assert found["shipper_delivery_seconds_count", (sink,)] == 0
        for kind in Kind:
            assert found["shipper_records_delivered_total", (kind.value, sink)] == 0
    assert found["shipper_build_info", (__version__,)] == 1


def test_what_is_counted_is_what_is_served() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    meter.count("records_received_total", 200, "logs")
    meter.count("records_received_total", 5, "logs")
    meter.count("commits_total", 1, "ok")
    meter.level("buffer_bytes", 4096)
    meter.observe("delivery_seconds", 3.0, "archive")
    found = samples(meter)
    assert found["shipper_records_received_total", ("logs",)] == 205
    assert found["shipper_buffer_bytes", ()] == 4096
    assert found["shipper_delivery_seconds_sum", ("archive",)] == 3.0
    assert found["shipper_delivery_seconds_bucket", ("2.5", "archive")] == 0
    assert found["shipper_delivery_seconds_bucket", ("5.0", "archive")] == 1


@pytest.mark.parametrize("call", ["count", "level", "observe", "forget"])
def test_a_name_that_is_not_declared_is_an_error(call: str) -> None:
    meter = PrometheusMeter()
    arguments = () if call == "forget" else (1,)
    with pytest.raises(KeyError):
        getattr(meter, call)("shipper_buffer_bytes", *arguments)
    with pytest.raises(KeyError):
        getattr(meter, call)({"count": "buffer_bytes"}.get(call, "gaps_total"), *arguments)


def test_the_wrong_number_of_labels_is_an_error_that_names_the_right_ones() -> None:
    with pytest.raises(ValueError, match="kind, reason"):
        PrometheusMeter().count("reconnects_total", 1, "logs")


def test_absurd_numbers_raise_nothing_and_counters_never_fall() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    meter.count("gaps_total", 3, "rotated")
    for absurd in (-1, math.nan):
        meter.count("gaps_total", absurd, "rotated")
        meter.observe("delivery_seconds", math.nan, "archive")
    found = samples(meter)
    assert found["shipper_gaps_total", ("rotated",)] == 3
    assert found["shipper_delivery_seconds_count", ("archive",)] == 0


def test_apps_beyond_the_cap_share_one_series_that_is_their_sum() -> None:
    meter = PrometheusMeter()
    for number in range(3000):
        meter.level("replicas", 2, f"acme/app-{number}")
        meter.level("replicas", 1, f"acme/app-{number}")
    found = samples(meter)
    apps = [labels[0] for name, labels in found if name == "shipper_replicas"]
    assert len(apps) == 1001
    assert found["shipper_replicas", (OTHER,)] == 2000
    assert sum(value for (name, _), value in found.items() if name == "shipper_replicas") == 3000


def test_an_app_that_is_gone_is_no_longer_served_and_makes_room() -> None:
    series = [Series("replicas", SeriesType.GAUGE, "replicas", "Running.", (Label("app"),), cap=2)]
    meter = PrometheusMeter(series=series)
    for app in "abcd":
        meter.level("replicas", 1, app)
    assert samples(meter)["shipper_replicas", (OTHER,)] == 2
    meter.forget("replicas", "c")
    meter.forget("replicas", "a")
    meter.forget("replicas", "never seen")
    meter.level("replicas", 5, "d")
    found = {
        labels[0]: value for (name, labels), value in samples(meter).items() if name == "shipper_replicas"
    }
    assert found == {"b": 1, "d": 5, OTHER: 0}


def test_counters_beyond_the_cap_go_on_counting_together() -> None:
    series = [
        Series("x_total", SeriesType.COUNTER, "", "Some.", (Label("app"), Label("kind", ("logs",))), cap=3)
    ]
    meter = PrometheusMeter(series=series)
    for number in range(10):
        meter.count("x_total", 1, f"app-{number}", "logs")
    assert samples(meter)["shipper_x_total", (OTHER, "logs")] == 7


@pytest.mark.parametrize(
    "app", ["", "\ud800", "a\nb", 'quo"te', "back\\slash", "ünïcödé", "x" * 5000, "\x00"]
)
def test_no_name_breaks_the_page(app: str) -> None:
    meter = PrometheusMeter()
    meter.level("replicas", 7, app)
    assert [value for (name, _), value in samples(meter).items() if name == "shipper_replicas"] == [7]
    meter.forget("replicas", app)
    assert not [name for name, _ in samples(meter) if name == "shipper_replicas"]


def test_long_names_that_differ_at_the_end_stay_apart() -> None:
    meter = PrometheusMeter()
    meter.level("replicas", 1, "x" * 5000 + "a")
    meter.level("replicas", 2, "x" * 5000 + "b")
    assert len([name for name, _ in samples(meter) if name == "shipper_replicas"]) == 2


def test_forgetting_a_gauge_without_labels_changes_nothing() -> None:
    meter = PrometheusMeter()
    meter.level("buffer_bytes", 5)
    meter.forget("buffer_bytes")
    assert samples(meter)["shipper_buffer_bytes", ()] == 5


def test_two_meters_in_one_process_do_not_meet() -> None:
    one, other = PrometheusMeter(), PrometheusMeter()
    one.count("commits_total", 1, "ok")
    assert samples(other)["shipper_commits_total", ("ok",)] == 0


def test_the_page_has_no_created_samples_and_all_of_its_own_series() -> None:
    names = {name for name, _ in samples(PrometheusMeter(sinks=["archive"]))}
    assert not [name for name in names if name.endswith("_created")]
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names
    without_instances = {
        f"shipper_{series.name}" for series in SERIES if series.name in ("replicas", "config_info")
    }
    served = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names if own(name)}
    assert served == {f"shipper_{series.name}" for series in SERIES} - without_instances


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=banana", "text/plain; version=0.0.4"),
        ("*/*;q=0.1,,;", "text/plain; version=0.0.4"),
    ],
)
def test_any_accept_header_gets_a_format_that_exists(accept: str, wanted: str) -> None:
    body, content_type = PrometheusMeter().render(accept)
    assert content_type.startswith(wanted)
    assert body.endswith(b"# EOF\n") == ("openmetrics" in wanted)


def test_threads_may_count_while_the_page_is_rendered() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    stop = threading.Event()
    failures: list[BaseException] = []

    def count(thread: int) -> None:
        try:
            for number in range(2000):
                meter.count("records_committed_total", 1, "logs")
                meter.level("replicas", 1, f"{thread}-{number}")
                meter.forget("replicas", f"{thread}-{number - 5}")
        except BaseException as error:
            failures.append(error)
        finally:
            stop.set()

    threads = [threading.Thread(target=count, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        meter.render()
    for thread in threads:
        thread.join()
    assert failures == []
    assert samples(meter)["shipper_records_committed_total", ("logs",)] == 8000


PROMTOOL = os.environ.get("SHIPPER_TEST_PROMTOOL", "")


@pytest.mark.skipif(not PROMTOOL, reason="SHIPPER_TEST_PROMTOOL names no promtool; .ci/run does")
def test_promtool_finds_no_fault_with_the_page() -> None:
    meter = PrometheusMeter(sinks=["archive", "search"])
    for series in SERIES:
        labels = [label.values[0] if label.values else f"{label.name}-1" for label in series.labels]
        if series.type is SeriesType.COUNTER:
            meter.count(series.name, 3, *labels)
        elif series.type is SeriesType.GAUGE:
            meter.level(series.name, 3, *labels)
        else:
            meter.observe(series.name, 3, *labels)
    page = meter.render()[0]
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=page, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_series_of_the_contract_is_on_the_page_from_the_start() -> None:
    names = {name for name, _ in samples(PrometheusMeter(sinks=["archive"]))}
    for name in CONTRACT.keys() - {"replicas"}:  # which has the apps that there are
        assert {f"shipper_{name}", f"shipper_{name}_count"} & names, name


def test_five_thousand_series_take_a_fraction_of_a_second_to_render() -> None:
    meter = PrometheusMeter(sinks=[f"sink-{number}" for number in range(50)])
    for number in range(1500):
        meter.level("replicas", 1, f"acme/app-{number}")
    began = time.thread_time()
    page = meter.render()[0]
    seconds = time.thread_time() - began
    assert sum(line[:1] != b"#" for line in page.splitlines()) > 4_000
    assert seconds < 0.5
