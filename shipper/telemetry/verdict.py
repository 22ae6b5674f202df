"""Whether anything is being lost, in words: what was found, how bad it is, and what to do about it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shipper.telemetry.advice import LOSSES, what_to_do
from shipper.telemetry.facts import Facts, SinkFacts
from shipper.telemetry.words import bytes_of, lasting, listed, many

LATELY_S: Final = 900.0
FULL: Final = 0.8
SLOW_LOOP_S: Final = 1.0
_LATE_S: Final = 60.0
_UNREACHED_S: Final = 300.0
_MANY: Final = 5


class Level(StrEnum):
    """How bad a finding is, in ascending order."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong
    WARNING = "warning"  # nothing is lost, but something does not work as it should
    CRITICAL = "critical"  # records are being lost, or soon will be


ORDER: Final = tuple(Level)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `about` names what it concerns: a sink, an app, a part."""

    level: Level
    about: str
    text: str
    todo: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer and what it rests on, the worst first."""

    level: Level
    text: str
    findings: Sequence[Finding]


def verdict(facts: Facts) -> Verdict:
    """The answer to: is anything being lost?"""
    findings = sorted(_findings(facts), key=lambda finding: -ORDER.index(finding.level))
    level = findings[0].level if findings else Level.OK
    return Verdict(Level.OK if level is Level.NOTE else level, _answer(facts, level, findings), findings)


def _answer(facts: Facts, level: Level, findings: Sequence[Finding]) -> str:
    if any(finding.lost for finding in findings):
        return "Records were lost in the last 15 minutes."
    if level is Level.CRITICAL:
        return "Nothing is lost yet, but it soon may be."
    if facts.draining:
        return "Nothing is being lost; shipper is ending and delivers what it can."
    if facts.unready:
        return "Nothing is known to be lost; shipper is not ready yet."
    if level is Level.WARNING:
        return "Nothing is being lost, but something needs a look."
    return "Nothing is being lost."


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from _losses(facts)
    yield from _platform(facts)
    yield from _streams(facts)
    yield from _buffer(facts)
    for sink in facts.sinks:
        yield from _sink(facts, sink)
    yield from _process(facts)


# ---- what is lost ----


def _losses(facts: Facts) -> Iterator[Finding]:
    gaps = facts.counts.gaps.within(LATELY_S)
    for (reason,), count in sorted(gaps.items(), key=lambda item: -item[1]):
        text = f"{many(count, 'gap')} in the last 15 minutes: {reason}."
        yield Finding(Level.CRITICAL, "gaps", text, what_to_do(reason), lost=True)
    drops = facts.counts.drops.within(LATELY_S)
    for (sink, reason), count in sorted(drops.items(), key=lambda item: -item[1]):
        if reason in LOSSES:
            records = many(round(count), "record")
            text = f"{records} of the last 15 minutes will never reach the sink {sink}: {reason}."
            yield Finding(Level.CRITICAL, sink, text, what_to_do(reason), lost=True)


# ---- what comes in ----


def _platform(facts: Facts) -> Iterator[Finding]:
    platform, collect = facts.platform, facts.collect
    for name, reason in facts.unready.items():
        yield Finding(Level.WARNING, name, f"Not ready: {_said(reason)}")
    if platform.token_problem:
        yield Finding(
            Level.CRITICAL,
            "token",
            f"There is no valid token: {_said(platform.token_problem)}",
            "Check ignite.auth: whether the token or the service account still exists, and the token endpoint answers.",
        )
    if collect.problem:
        yield Finding(
            Level.CRITICAL if collect.refused else Level.WARNING,
            "apps",
            f"Apps cannot be listed: {_said(collect.problem)} New apps are not seen.",
            "Check the service account's role; apps.include with exact names works without the right to list."
            if collect.refused
            else "",
        )
    elif not collect.apps_total and not facts.unready:
        yield Finding(
            Level.WARNING,
            "apps",
            "No app is selected, so nothing is collected.",
            "Check apps.include and apps.exclude, ignite.organization, and the service account's role.",
        )
    yield from _unlisted(facts)
    for feature in platform.features:
        if not feature.on and feature.why and not feature.why.startswith("collect."):
            yield Finding(
                Level.NOTE,
                feature.name,
                f"{feature.name.capitalize()} are not collected: {_said(feature.why)}",
            )


def _unlisted(facts: Facts) -> Iterator[Finding]:
    unlisted = facts.collect.unlisted
    for app in unlisted[:_MANY]:
        text = f"The replicas of {app.app} cannot be listed: {_said(app.problem)} New ones are not seen."
        if app.refused:
            todo = "Check the service account's role on this app."
            yield Finding(Level.CRITICAL, app.app, text, todo)
        else:
            yield Finding(Level.WARNING, app.app, text)
    if len(unlisted) > _MANY:
        worst = Level.CRITICAL if any(app.refused for app in unlisted) else Level.WARNING
        more = many(len(unlisted) - _MANY, "further app")
        yield Finding(worst, "apps", f"The replicas of {more} cannot be listed either.")


def _streams(facts: Facts) -> Iterator[Finding]:
    by_state: Counter[str] = Counter()
    for (_, state), count in facts.collect.states.items():
        by_state[state] += count
    last = f" Last answer: {_said(facts.platform.error)}" if facts.platform.error else ""
    if by_state["parked"]:
        yield Finding(
            Level.CRITICAL,
            "subscriptions",
            f"The platform refuses {many(by_state['parked'], 'stream')}: nothing is collected there, and the platform "
            f"keeps records only as long as a replica lives.{last}",
            "Check the service account's role on these apps; the table of replicas names them.",
        )
    if facts.collect.overdue:
        yield Finding(
            Level.CRITICAL,
            "subscriptions",
            f"{many(facts.collect.overdue, 'stream')} could not be opened for {lasting(_UNREACHED_S)} or longer: "
            f"records are not collected meanwhile.{last}",
            "Check whether the platform can be reached from here.",
        )


# ---- what lies in between ----


def _buffer(facts: Facts) -> Iterator[Finding]:
    buffer = facts.buffer
    share = buffer.bytes / buffer.limit_bytes if buffer.limit_bytes else 0.0
    room = f"{bytes_of(buffer.bytes)} of {bytes_of(buffer.limit_bytes)}"
    if buffer.holding:
        yield Finding(
            Level.CRITICAL,
            "buffer",
            f"The buffer takes no more ({room}): streams are held back, and the platform forgets what it cannot send.",
            "Mend the sink that takes nothing, raise buffer.max_size, or see the daemon's log if the disk is full.",
        )
    elif share >= FULL:
        then = (
            "the oldest records are dropped" if buffer.when_full == "drop_oldest" else "streams are held back"
        )
        yield Finding(
            Level.WARNING,
            "buffer",
            f"The buffer is {share:.0%} full ({room}); when it is full, {then}.",
            "Mend the sink that is behind, or raise buffer.max_size.",
        )


# ---- what goes out ----


def _sink(facts: Facts, sink: SinkFacts) -> Iterator[Finding]:
    waiting = _waiting(facts, sink)
    if sink.state == "parked":
        yield Finding(
            Level.WARNING,
            sink.name,
            f"The sink {sink.name} takes nothing until someone acts: {_said(sink.error)} {waiting}",
            "Mend what it says; one batch is tried each minute, and nothing is lost while the buffer has room.",
        )
    elif sink.state != "healthy":
        yield Finding(
            Level.WARNING,
            sink.name,
            f"The sink {sink.name} fails and is tried again by itself: {_said(sink.error)} {waiting}",
            "Nothing to do if the destination comes back; nothing is lost while the buffer has room.",
        )
    elif _age_s(facts, sink.oldest_ms) > 2 * sink.max_age_s + _LATE_S:
        yield Finding(
            Level.WARNING,
            sink.name,
            f"The sink {sink.name} is behind. {waiting}",
            "If this lasts, the destination is too slow: raise the sink's concurrency, or look there.",
        )
    if sink.stuck:
        yield Finding(
            Level.WARNING,
            sink.name,
            f"{many(sink.stuck, 'batch', 'batches')} of the sink {sink.name} keep failing while others pass: "
            f"{_said(sink.error)}",
        )
    if sink.dead_letters:
        yield Finding(
            Level.NOTE,
            sink.name,
            f"{many(sink.dead_letters, 'record')} that the sink {sink.name} refused for good "
            f"{'is' if sink.dead_letters == 1 else 'are'} kept as dead letters.",
            f"shipper deadletter list --sink {sink.name} --config FILE",
        )


def _waiting(facts: Facts, sink: SinkFacts) -> str:
    if not sink.backlog:
        return "Nothing waits for it."
    oldest = (
        f", the oldest for {lasting(_age_s(facts, sink.oldest_ms))}" if sink.oldest_ms is not None else ""
    )
    return f"{many(sink.backlog, 'record')} wait for it{oldest}."


def _said(text: str) -> str:
    """What somebody else said, as the end of a sentence."""
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def _age_s(facts: Facts, at_ms: int | None) -> float:
    return 0.0 if at_ms is None else max(0.0, (facts.now_ms - at_ms) / 1000)


# ---- the daemon itself ----


def _process(facts: Facts) -> Iterator[Finding]:
    reload = facts.config.reload
    if reload is not None and reload.problem:
        yield Finding(
            Level.WARNING,
            "configuration",
            f"The last reload was refused, the configuration before it stays in force: {_said(reload.problem)}",
            "shipper check --config FILE says everything that is wrong with it.",
        )
    if facts.process.loop_lag_seconds > SLOW_LOOP_S:
        yield Finding(
            Level.WARNING,
            "process",
            f"The event loop was late by {facts.process.loop_lag_seconds:.1f} s in the last minute.",
            "Give the process more CPU, or fewer sinks that transform records.",
        )
    day = facts.counts.gaps.within(86_400.0)
    lately = facts.counts.gaps.within(LATELY_S)
    earlier = {reason: count - lately.get((reason,), 0) for (reason,), count in day.items()}
    earlier = {reason: count for reason, count in earlier.items() if count > 0}
    if earlier:
        total = many(sum(earlier.values()), "gap")
        yield Finding(Level.NOTE, "gaps", f"{total} earlier, in the last 24 hours: {listed(earlier)}.")
