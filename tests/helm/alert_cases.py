"""When each alert fires and when it keeps still: series of an hour, a value a minute, and the minute that is looked at.

Values are written as promtool has them: `0x5 1x10` is 0 six times and 1 eleven times; `0+60x10` grows by 60 a minute;
`_` is no value (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/). The rules are those of
the examples, with batch.max_age 5m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Samples = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """`series` maps a series, with its own labels, to its values."""

    alert: str
    fires: bool
    what: str
    series: Samples
    minute: int = 30


def of(name: str, values: str, **labels: str) -> Samples:
    """One series of the daemon, with the labels of its target."""
    every = {"job": "shipper", "namespace": "logs", "instance": "10.0.0.1:9464"} | labels
    written = ",".join(f'{key}="{value}"' for key, value in every.items())
    return {f"{name}{{{written}}}": values}


def started(values: str = "-100000x60") -> Samples:
    """When the process started: long ago unless told otherwise. promtool's time begins with 0."""
    return of("process_start_time_seconds", values)


def _fires(alert: str, what: str, *series: Samples, minute: int = 30) -> Case:
    return Case(alert, True, what, _together(series), minute)


def _silent(alert: str, what: str, *series: Samples, minute: int = 30) -> Case:
    return Case(alert, False, what, _together(series), minute)


def _together(series: tuple[Samples, ...]) -> Samples:
    return {name: values for one in series for name, values in one.items()}


def requests(outcome: str, values: str) -> Samples:
    return of("shipper_sink_requests_total", values, sink="archive", outcome=outcome)


def polls(outcome: str, values: str) -> Samples:
    return of("shipper_polls_total", values, outcome=outcome)


def journeys(within_300: str, within_600: str, within_1800: str, beyond: str) -> Samples:
    """The histogram from a record's time to its acknowledgement, cumulative."""
    bounds = {"300.0": within_300, "600.0": within_600, "1800.0": within_1800, "+Inf": beyond}
    return _together(
        tuple(
            of("shipper_delivery_seconds_bucket", values, sink="archive", le=le)
            for le, values in bounds.items()
        )
    )


def subscriptions(live: str, parked: str = "0x60") -> Samples:
    return of("shipper_subscriptions", live, kind="logs", state="live") | of(
        "shipper_subscriptions", parked, kind="logs", state="parked"
    )


def losses(alert: str, name: str, **labels: str) -> tuple[Case, ...]:
    """The same for each alert about a counter of losses."""
    return (
        _fires(alert, "the counter grows", of(name, "0x25 1x60", **labels), started()),
        _silent(alert, "the counter has grown long ago", of(name, "0x5 1x60", **labels), started()),
        _silent(alert, "nothing was ever lost", of(name, "0x60", **labels), started()),
        _fires(
            alert,
            "a new process has counted before its first scrape",
            of(name, "_x24 1x60", **labels),
            started("_x24 1440x60"),
        ),
        _silent(
            alert,
            "a process that has run for long is scraped again after a pause",
            of(name, "1x2 _x20 1x60", **labels),
            started("0x2 _x20 0x60"),
        ),
        _fires(
            alert,
            "the counter begins anew and is at 1",
            of(name, "3x24 1x60", **labels),
            started("-100000x24 1440x60"),
        ),
    )


SENDING: Final = of("shipper_records_received_total", "0+60x60", kind="logs")
FULL_LIMIT: Final = of("shipper_buffer_limit_bytes", "1000x300")

CASES: Final[tuple[Case, ...]] = (
    _fires("ShipperDown", "nothing is scraped", {}),
    _fires("ShipperDown", "the scrape fails", of("up", "1x5 0x60")),
    _silent("ShipperDown", "it is up", of("up", "1x60")),
    _silent("ShipperDown", "it was down for ten minutes", of("up", "1x10 0x10 1x60")),
    *losses("ShipperGap", "shipper_gaps_total", reason="rotated"),
    *losses("ShipperRecordsDropped", "shipper_records_dropped_total", sink="archive", reason="buffer_full"),
    _silent(
        "ShipperRecordsDropped",
        "a route drops on purpose",
        of("shipper_records_dropped_total", "0+60x60", sink="archive", reason="filtered"),
        started(),
    ),
    *losses("ShipperDeadLetters", "shipper_dead_letters_buried_total", sink="search"),
    _fires(
        "ShipperDeliveryBehind",
        "the oldest record is older than two batches",
        of("shipper_sink_oldest_unacked_seconds", "0+60x60", sink="archive"),
    ),
    _silent(
        "ShipperDeliveryBehind",
        "each batch waits for its age, as it should",
        of("shipper_sink_oldest_unacked_seconds", "0+60x5 0+60x5 0+60x5 0+60x5 0+60x5", sink="archive"),
    ),
    _silent(
        "ShipperDeliveryBehind",
        "a sink was down for a quarter of an hour and has caught up",
        of("shipper_sink_oldest_unacked_seconds", "0+60x15 0x60", sink="archive"),
    ),
    _fires(
        "ShipperDeliveryFailing",
        "one request in ten fails",
        requests("delivered", "0+90x60"),
        requests("retry", "0+10x60"),
    ),
    _silent(
        "ShipperDeliveryFailing",
        "one request in a thousand fails",
        requests("delivered", "0+999x60"),
        requests("retry", "0+1x60"),
    ),
    _silent(
        "ShipperDeliveryFailing",
        "too large is no failure: it is sent in halves",
        requests("delivered", "0+90x60"),
        requests("too_large", "0+10x60"),
    ),
    _silent(
        "ShipperDeliveryFailing",
        "it failed for ten minutes",
        requests("delivered", "0+90x60"),
        requests("retry", "0+10x10 100x60"),
    ),
    _silent(
        "ShipperDeliveryFailing", "nothing is sent", requests("delivered", "5x60"), requests("retry", "5x60")
    ),
    _fires(
        "ShipperDeliverySlow",
        "two records in a hundred take longer than ten minutes",
        journeys("0+90x60", "0+98x60", "0+100x60", "0+100x60"),
    ),
    _silent(
        "ShipperDeliverySlow",
        "half of them take a little longer than five minutes, as batches of five minutes do",
        journeys("0+50x60", "0+100x60", "0+100x60", "0+100x60"),
    ),
    _fires(
        "ShipperNothingDelivered",
        "records come and none goes",
        SENDING,
        of("shipper_records_delivered_total", "100x60", sink="archive", kind="logs"),
        of("shipper_sink_oldest_unacked_seconds", "0+60x60", sink="archive"),
    ),
    _silent(
        "ShipperNothingDelivered",
        "one of two sinks delivers",
        SENDING,
        of("shipper_records_delivered_total", "100x60", sink="search", kind="logs"),
        of("shipper_records_delivered_total", "0+60x60", sink="archive", kind="logs"),
        of("shipper_sink_oldest_unacked_seconds", "0+60x60", sink="search"),
    ),
    _silent(
        "ShipperNothingDelivered",
        "nothing comes",
        of("shipper_records_received_total", "100x60", kind="logs"),
        of("shipper_records_delivered_total", "100x60", sink="archive", kind="logs"),
        of("shipper_sink_oldest_unacked_seconds", "0x60", sink="archive"),
    ),
    _silent(
        "ShipperNothingDelivered",
        "the only sink takes failures, of which there are none",
        SENDING,
        of("shipper_records_delivered_total", "0x60", sink="errors", kind="logs"),
        of("shipper_sink_oldest_unacked_seconds", "2x60", sink="errors"),
    ),
    _fires(
        "ShipperSinkParked", "a key is wrong", of("shipper_sink_state", "1x60", sink="search", state="parked")
    ),
    _silent(
        "ShipperSinkParked",
        "it fails and is tried again by itself",
        of("shipper_sink_state", "0x60", sink="search", state="parked"),
        of("shipper_sink_state", "1x60", sink="search", state="failing"),
    ),
    _silent(
        "ShipperSinkParked",
        "it was parked for three minutes",
        of("shipper_sink_state", "0x10 1x3 0x60", sink="search", state="parked"),
    ),
    _fires(
        "ShipperBufferFilling", "it is nine tenths full", of("shipper_buffer_bytes", "900x60"), FULL_LIMIT
    ),
    _fires(
        "ShipperBufferFilling",
        "it is half full and will be full in two hours",
        of("shipper_buffer_bytes", "300+4x300"),
        FULL_LIMIT,
        minute=80,
    ),
    _silent(
        "ShipperBufferFilling",
        "it is a third full and fills quickly",
        of("shipper_buffer_bytes", "0+5x300"),
        FULL_LIMIT,
        minute=70,
    ),
    _silent(
        "ShipperBufferFilling",
        "it is half full and stays so",
        of("shipper_buffer_bytes", "600x60"),
        FULL_LIMIT,
    ),
    _fires("ShipperBufferFull", "nearly nothing is left", of("shipper_buffer_bytes", "960x60"), FULL_LIMIT),
    _fires(
        "ShipperBufferFull",
        "commits find no room",
        of("shipper_buffer_bytes", "700x60"),
        FULL_LIMIT,
        of("shipper_commits_total", "0+5x60", outcome="full"),
    ),
    _silent(
        "ShipperBufferFull",
        "commits found no room for a moment",
        of("shipper_buffer_bytes", "700x60"),
        FULL_LIMIT,
        of("shipper_commits_total", "0x10 3x60", outcome="full"),
    ),
    _fires(
        "ShipperBufferUnavailable",
        "the volume is gone",
        of("shipper_commits_total", "0+5x60", outcome="unavailable"),
    ),
    _silent(
        "ShipperBufferUnavailable",
        "commits succeed",
        of("shipper_commits_total", "0x60", outcome="unavailable"),
        of("shipper_commits_total", "0+300x60", outcome="ok"),
    ),
    _fires(
        "ShipperSubscriptionsMissing",
        "one replica of three has no stream",
        of("shipper_replicas", "3x60", app="acme/checkout"),
        subscriptions("2x60", parked="1x60"),
    ),
    _silent(
        "ShipperSubscriptionsMissing",
        "each replica has one, of apps that come and go",
        of("shipper_replicas", "3x60", app="acme/checkout"),
        of("shipper_replicas", "0x5 2x60", app="acme/cart"),
        subscriptions("3x5 5x60"),
    ),
    _silent(
        "ShipperSubscriptionsMissing",
        "a crash loop opens and loses its stream again and again",
        of("shipper_replicas", "1x60", app="acme/checkout"),
        subscriptions("1 0 0 0 1 0 0 0 1 0 0 0 1 0 0 0 1 0 0 0 1 0 0 0 1 0 0 0 1 0 0 0"),
    ),
    _fires(
        "ShipperCredentialsRejected",
        "an app may not be read",
        polls("ok", "0+10x60"),
        polls("denied", "0+1x60"),
    ),
    _fires(
        "ShipperCredentialsRejected",
        "no token can be had",
        of("shipper_token_refreshes_total", "0+2x60", outcome="failed"),
    ),
    _fires("ShipperCredentialsRejected", "a stream is refused", subscriptions("2x60", parked="1x60")),
    _silent(
        "ShipperCredentialsRejected",
        "the token server was away for three minutes",
        of("shipper_token_refreshes_total", "0x10 6x60", outcome="failed"),
        polls("denied", "0x60"),
        subscriptions("2x60"),
    ),
    _fires(
        "ShipperPlatformUnreachable", "every call fails", polls("ok", "90x60"), polls("failed", "0+10x60")
    ),
    _silent(
        "ShipperPlatformUnreachable", "some calls fail", polls("ok", "0+8x60"), polls("failed", "0+2x60")
    ),
    _silent(
        "ShipperPlatformUnreachable", "there is no app to list", polls("ok", "0x60"), polls("failed", "0x60")
    ),
    _fires(
        "ShipperReloadFailed",
        "what was read is wrong",
        of("shipper_config_last_reload_successful", "1x10 0x60"),
    ),
    _silent("ShipperReloadFailed", "all is well", of("shipper_config_last_reload_successful", "1x60")),
    _silent(
        "ShipperReloadFailed",
        "it was wrong for three minutes",
        of("shipper_config_last_reload_successful", "1x10 0x2 1x60"),
    ),
    _fires(
        "ShipperConfigDrift",
        "two sidecars differ",
        of("shipper_config_info", "1x60", sha256="aa"),
        of("shipper_config_info", "1x60", sha256="bb", instance="10.0.0.2:9464"),
    ),
    _silent(
        "ShipperConfigDrift",
        "one after the other takes over another",
        of("shipper_config_info", "1x10 _x60", sha256="aa"),
        of("shipper_config_info", "_x10 1x60", sha256="bb"),
        of("shipper_config_info", "1x14 _x60", sha256="aa", instance="10.0.0.2:9464"),
        of("shipper_config_info", "_x14 1x60", sha256="bb", instance="10.0.0.2:9464"),
    ),
    _fires("ShipperEventLoopSlow", "it is late all the time", of("shipper_event_loop_lag_seconds", "2.5x60")),
    _silent(
        "ShipperEventLoopSlow",
        "it is late now and then",
        of("shipper_event_loop_lag_seconds", "2.5 0.01 0.01 2.5 0.01 0.01 2.5 0.01x60"),
    ),
)
