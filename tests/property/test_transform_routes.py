"""Routes against a plain reading of their rules, one record after the other."""

from collections import Counter
from fnmatch import fnmatchcase

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.archive.codec import decode
from shipper.model import Kind
from shipper.transform.building import build_pipeline, build_routes
from shipper.transform.sampling import keeps
from tests.fakes.pipelines import BEGIN_MS, SINKS, event, gap, logs, partition
from tests.fakes.pipelines import settings as settings_of

GLOBS = st.sampled_from(["*", "shop", "sh*", "pay", "[ps]*", "x?"])
CONDITIONS = {
    "kind": st.lists(st.sampled_from(["logs", "events", "gaps"]), min_size=1, max_size=2),
    "organization": st.sampled_from(["acme", "a*", "other"]),
    "app": GLOBS,
    "replica": st.sampled_from(["shop-1", "shop-*", "?*", "*"]),
    "stream": st.sampled_from(["stdout", "stderr"]),
    "level": st.lists(st.sampled_from(["error", "info", "unknown"]), min_size=1, max_size=2),
    "severity": st.sampled_from(["warning", "Normal"]),
    "event": st.sampled_from(["OOM_KILLED", "started"]),
    "line": st.sampled_from(["a", "^b", "c$", "ERROR|x"]),
}
conditions = st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CONDITIONS[name] for name in names})
)
matches = st.builds(
    lambda asked, excluded: {**asked, **({"not": excluded} if excluded else {})},
    st.just({}) | conditions,
    st.none() | conditions,
)
sink_names = st.lists(st.sampled_from(sorted(SINKS)), min_size=1, unique=True)
actions = st.just({"drop": True}) | st.fixed_dictionaries(
    {"sinks": sink_names},
    optional={
        "sample": st.sampled_from([2, 3]),
        "throttle": st.sampled_from(["1/s", "2/s"]),
        "continue": st.booleans(),
    },
)
routes_of = st.lists(
    st.builds(lambda match, action: {"match": match, **action}, matches, actions), min_size=1, max_size=5
)

LINES = st.sampled_from(["a", "b", "abc", "ERROR x", "[INFO] a", "nothing"])
REPLICAS = st.sampled_from(["shop-1", "shop-2", "shop-3", ""])
records = {
    Kind.LOGS: st.builds(
        lambda line, replica, stream, ms: logs(
            [line], replica=replica, stream=stream, begin_ms=BEGIN_MS + ms
        ),
        LINES,
        REPLICAS,
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from([0, 1_000]),
    ),
    Kind.EVENTS: st.builds(
        lambda message, severity, kind: event(message=message, severity=severity, kind=kind),
        LINES,
        st.sampled_from(["WARNING", "Normal", ""]),
        st.sampled_from(["OOM_KILLED", "STARTED", 9]),
    ),
    Kind.GAPS: st.builds(gap, LINES),
}
feeds = st.sampled_from(sorted(records)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(records[kind], max_size=12))
)
LEVELS = {"ERROR x": "error", "[INFO] a": "info"}


def holds(asked, kind, record):
    """The conditions as docs/routing.md says them."""
    text = record.get({Kind.EVENTS: "message", Kind.GAPS: "detail"}.get(kind, "line"), "")
    checks = {
        "kind": lambda values: kind in values,
        "organization": lambda value: fnmatchcase(record["organization"], value),
        "app": lambda value: fnmatchcase(record["app"], value),
        "replica": lambda value: fnmatchcase(record.get("replica_id", ""), value),
        "stream": lambda value: kind is Kind.LOGS and record["stream"] == value,
        "level": lambda values: kind is Kind.LOGS and LEVELS.get(text, "unknown") in values,
        "severity": lambda value: kind is Kind.EVENTS and record.get("severity", "").lower() == value.lower(),
        "event": lambda value: kind is Kind.EVENTS and str(record["kind"]).lower() == value.lower(),
        "line": lambda value: {"a": "a" in text, "^b": text[:1] == "b", "c$": text[-1:] == "c"}.get(
            value, "ERROR" in text or "x" in text
        ),
    }
    return all(checks[name](value) for name, value in asked.items() if name != "not")


class Oracle:
    """What the rules say, for one sink."""

    def __init__(self, routes, kind):
        self.routes, self.kind = routes, kind
        self.paces = [Counter() for _ in routes]

    def fate(self, record, sink):
        """(whether it passes, why it was left out, whether any route took it)."""
        passes, left_out, taken = False, None, False
        for route, pace in zip(self.routes, self.paces, strict=True):
            match = route["match"]
            if not holds(match, self.kind, record) or (
                "not" in match and holds(match["not"], self.kind, record)
            ):
                continue
            if route.get("drop"):
                return passes, left_out or (None if taken else "filtered"), taken
            taken = True
            if sink in route["sinks"]:
                reason = self.thinned(route, pace, record)
                passes, left_out = passes or reason is None, left_out or reason
            if not route.get("continue"):
                break
        return passes, left_out or (None if taken else "no_route"), taken

    def thinned(self, route, pace, record):
        if "sample" in route and not keeps(record.get("replica_id", ""), route["sample"]):
            return "sampled"
        if "throttle" in route:
            second = record["timestamp_ms"] // 1_000
            if pace[second] >= int(route["throttle"][0]):
                return "throttled"
            pace[second] += 1
        return None


def run(configured, sink, kind, chunks):
    """What comes out of the pipeline that is fed so, each chunk in a pass of its own or several in one."""
    made = build_pipeline(configured, sink)
    state, out, dropped, elsewhere = b"", [], Counter(), 0
    for chunk in chunks:
        step = made.start(partition(kind), state)
        for part in chunk:
            out += [orjson.dumps(entry.record) for entry in step.feed(part)]
        out += [orjson.dumps(entry.record) for entry in step.flush()]
        ending = step.finish()
        state = ending.state
        dropped.update(ending.dropped)
        elsewhere += ending.elsewhere
    return out, dropped, elsewhere


@settings(max_examples=200, deadline=None)
@given(routes=routes_of, feed=feeds, data=st.data())
def test_records_go_where_the_rules_say_however_they_are_cut(routes, feed, data):
    """Each is passed, or counted as dropped once, or another sink's affair; and the partition knew it before."""
    kind, lines = feed
    configured = settings_of(routes=routes, read=[{"level": "auto"}])
    reached = build_routes(configured).sinks_of(partition(kind))
    given_records = list(decode(b"".join(lines)))
    cut = data.draw(st.integers(0, len(lines)))
    cuts = {
        "at once": [[b"".join(lines)]],
        "record by record": [lines],
        "in two passes": [[b"".join(lines[:cut])], [b"".join(lines[cut:])]],
    }
    lost = Counter()
    for sink in SINKS:
        oracle = Oracle(routes, kind)
        fates = [oracle.fate(record, sink) for record in given_records]
        expected = [line[:-1] for line, (passes, _, _) in zip(lines, fates, strict=True) if passes]
        for how, chunks in cuts.items():
            out, dropped, elsewhere = run(configured, sink, kind, chunks)
            assert out == expected, how
            assert len(out) + dropped.total() + elsewhere == len(lines), how
        if expected:
            assert sink in reached
        if sink in reached:
            thinned = Counter(
                reason for passes, reason, _ in fates if not passes and reason in ("sampled", "throttled")
            )
            assert +Counter({name: dropped[name] for name in ("sampled", "throttled")}) == thinned
            lost.update({name: dropped[name] for name in ("filtered", "no_route")})
    if reached:
        untaken = Counter(reason for _, reason, taken in fates if not taken and reason is not None)
        assert +lost == untaken


@settings(max_examples=200, deadline=None)
@given(routes=routes_of, feed=feeds)
def test_what_is_not_touched_would_come_out_as_it_went_in(routes, feed):
    """Where a pipeline says that it does not rewrite, it need not be asked."""
    kind, lines = feed
    configured = settings_of(routes=routes, read=[{"level": "auto"}])
    where = partition(kind)
    for sink in build_routes(configured).sinks_of(where):
        made = build_pipeline(configured, sink)
        if not made.rewrites:
            assert not made.touches(where)
        if not made.touches(where):
            step = made.start(where, b"")
            assert made.encode([*step.feed(b"".join(lines)), *step.flush()]) == b"".join(lines)
            assert step.finish().dropped == {}
