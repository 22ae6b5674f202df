"""`shipper tap`: records as they pass the daemon, without disturbing it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shipper.archive.codec import log_bytes
from shipper.control.client import CommandFailed, ask, reach
from shipper.control.showing import safe
from shipper.control.wire import Request
from shipper.model import Kind

DONE: Final = 0
_STREAMS: Final = {"stdout": "out", "stderr": "err"}

Write = Callable[[str], None]
Warn = Callable[[str], None]


def add_arguments(
    parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Declare the options of `shipper tap`."""
    add_config(parser)
    parser.add_argument("--app", metavar="GLOB", default="", help="only of these apps: a name or a glob")
    parser.add_argument("--replica", metavar="GLOB", default="", help="only of these replicas")
    parser.add_argument(
        "--kind",
        action="append",
        choices=[kind.value for kind in Kind],
        help="only of this kind; may be repeated",
    )
    parser.add_argument(
        "--match", metavar="REGEX", default="", help="only with this in the line or message (RE2's syntax)"
    )
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--limit", type=_number, metavar="N", help="end after so many records")


def run(arguments: argparse.Namespace, directory: Path, write: Write, warn: Warn) -> int:
    """Show records until the limit, or until interrupted; the exit status. Raises CommandFailed."""
    connection = reach(directory)
    if connection is None:
        raise CommandFailed(f"no daemon runs on the buffer in {directory}: is buffer.path the daemon's?")
    show = _json if arguments.output == "json" else _text
    left = arguments.limit
    try:
        for kind, record in _records(ask(connection, _request(arguments)), warn):
            write(show(kind, record))
            if left is not None and (left := left - 1) == 0:
                return DONE
    except KeyboardInterrupt:
        return DONE
    finally:
        connection.close()
    return DONE


def _request(arguments: argparse.Namespace) -> Request:
    return {
        "call": "tap",
        "kinds": arguments.kind or [],
        "app": arguments.app,
        "replica": arguments.replica,
        "match": arguments.match,
    }


def _records(answers: Iterator[Any], warn: Warn) -> Iterator[tuple[str, dict[str, Any]]]:
    for answer in answers:
        if "left_out" in answer:
            warn(f"{answer['left_out']:,} records are not shown: more came than could be")
        for record in answer.get("records", ()):
            yield answer["kind"], record


def _json(kind: str, record: dict[str, Any]) -> str:
    """One object a line in plain ASCII: no terminal is to obey what is in it."""
    return json.dumps({"kind": kind, "record": record})


def _text(kind: str, record: dict[str, Any]) -> str:
    """`20:15:00.123 checkout/checkout-7c9d out  the line`."""
    where = safe(f"{record.get('app', '')}/{record.get('replica_id') or record.get('build_id') or '-'}")
    return f"{_clock(record.get('timestamp_ms'))} {where} {_said(kind, record)}"


def _said(kind: str, record: dict[str, Any]) -> str:
    if kind == Kind.LOGS:
        stream = _STREAMS.get(str(record.get("stream")), safe(str(record.get("stream", "-"))))
        return f"{stream}  {safe(log_bytes(record).decode('utf-8', 'replace'))}"
    if kind == Kind.EVENTS:
        return safe(
            f"event  {record.get('kind', '')} {record.get('reason', '')}: {record.get('message', '')}"
        )
    if kind == Kind.GAPS:
        lost = record.get("lost")
        many = "an unknown number of" if lost is None else f"{lost}"
        return safe(
            f"gap  {record.get('reason', '')}: {many} {record.get('stream_kind', '')}, {record.get('detail', '')}"
        )
    return f"{safe(str(record.get('source', kind)))}  {safe(log_bytes(record).decode('utf-8', 'replace'))}"


def _clock(at_ms: Any) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    except (OverflowError, ValueError, OSError, TypeError):
        return safe(str(at_ms))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 62):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def warn_on_stderr(text: str) -> None:
    """Beside the records, not among them."""
    sys.stderr.write(f"shipper tap: {text}\n")
    sys.stderr.flush()
