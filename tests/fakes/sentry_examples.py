"""The records behind the examples of docs/sinks.md."""

from __future__ import annotations

from typing import Final

from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.model import Kind
from shipper.sinks.sentry.options import SentryOptions
from tests.fakes.sentry import LOGS

AT_MS: Final = 1_795_464_000_123  # 2026-11-23 20:00:00.123 UTC
OPTIONS: Final = SentryOptions(
    "https://0123456789abcdef@o1.ingest.sentry.io/7",
    environment="production",
    archive="s3://acme-logs/ignite",
    tags={"team": "payments"},
)
_WHOSE: Final = {
    "organization": "acme-corp",
    "app": "checkout",
    "replica_id": "checkout-7d9f8b6c5-x2x9p",
}
_WHERE: Final = {"cluster_id": "eu-1", "node_name": "node-3", "stream": "stdout"}
_LINE: Final = '{"level":"warn","msg":"card declined","order":4711}'
_TRACE: Final = """Traceback (most recent call last):
  File "/app/checkout/views.py", line 40, in handle
    charge(order)
  File "/app/checkout/pay.py", line 88, in charge
    raise PaymentError("card declined")
checkout.pay.PaymentError: card declined"""

LOG: Final = Entry(
    {"timestamp_ms": AT_MS, **_WHOSE, **_WHERE, "line": _LINE},
    Kind.LOGS,
    AT_MS,
    _LINE,
    level=Level.WARN,
    fields={"level": "warn", "msg": "card declined", "order": 4711},
    execution_id="ex-5f0c",
    marks=LOGS,
)
TRACEBACK: Final = Entry(
    {"timestamp_ms": AT_MS, **_WHOSE, **_WHERE, "line": _TRACE},
    Kind.LOGS,
    AT_MS,
    _TRACE,
    lines=6,
    failure=Failure(
        "python",
        "checkout.pay.PaymentError",
        "card declined",
        (
            CodeFrame("handle", "/app/checkout/views.py", 40),
            CodeFrame("charge", "/app/checkout/pay.py", 88),
        ),
    ),
    before=((AT_MS - 20, _LINE),),
)
EVENT: Final = Entry(
    {
        "timestamp_ms": AT_MS,
        **_WHOSE,
        "kind": "OOM_KILLED",
        "reason": "OOMKilling",
        "message": "Memory cgroup out of memory: Killed process 1",
        "count": 1,
        "severity": "Warning",
    },
    Kind.EVENTS,
    AT_MS,
    "Memory cgroup out of memory: Killed process 1",
)
