"""JSON objects out of an answer's body, in whichever form the gateway streams them.

Which form that is stands nowhere, so it is told from the first bytes, and from the content type where these leave it
open:

- objects, one a line or one right after the other (NDJSON: https://github.com/ndjson/ndjson-spec),
- one array that grows (what Envoy's transcoder does without its newline option:
  https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_json_transcoder_filter),
- server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html),
- an array that grows inside an envelope: `{"data": [{…}, {…}`, and in the end `], "status": "success"}`.

Objects may have an envelope each; that is for `envelope`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shipper.ignite.gateway.objects import BLANK, Objects
from shipper.ignite.gateway.parsing import Object, objects
from shipper.ignite.gateway.scanner import MAX_VALUE, Scanner
from shipper.ignite.gateway.server_sent import Events
from shipper.ignite.transport import tidy

_BOM: Final = b"\xef\xbb\xbf"
_EVENT_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_AROUND_ARRAY: Final = (b'{"data":[', b'{"result":[')
_TELLING: Final = 64  # bytes that tell the form
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Values:
    """The objects that one read completed, in order. `bad` counts what was left out: no JSON, or too large."""

    items: list[Object]
    bad: int = 0


@dataclass(slots=True)
class ValueReader:
    """Turns reads into complete objects; keeps what is incomplete, at most `limit` bytes of it.

    `broken` says, where it is not empty, why nothing more can be understood.
    """

    content_type: str = ""
    limit: int = MAX_VALUE
    broken: str = ""
    _form: Objects | Events | None = None
    _first: bytes = b""
    _around: Scanner | None = None  # of the envelope around an array, after the array

    def feed(self, data: bytes) -> Values:
        """The objects that `data` completes."""
        items: list[Object] = []
        bad = 0
        while data and not self.broken:
            form = self._form
            if form is None:
                data = self._begin(data)
                continue
            if isinstance(form, Objects) and form.rest is not None:
                data, more = self._after(form, data, items)
                bad += more
                continue
            items += form.feed(data)
            bad += form.bad
            form.bad, self.broken = 0, form.broken
            data = b""
            if isinstance(form, Objects) and form.rest:
                data, form.rest = form.rest, b""
        return Values(items, bad)

    def end(self) -> Values:
        """What is complete because nothing more comes."""
        if isinstance(self._form, Events):
            return Values(self._form.end())
        return Values([])

    @property
    def incomplete(self) -> bool:
        """Whether something has begun and not ended."""
        if self._form is None:
            return bool(self._first.strip(BLANK))
        return self._form.incomplete or self._around is not None

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return sum(0 if part is None else part.held for part in (self._form, self._around)) + len(self._first)

    def _begin(self, data: bytes) -> bytes:
        """Tell the form if that can be done; what of the data is for it."""
        data = (self._first + data).removeprefix(_BOM).lstrip(BLANK)
        self._first = b""
        if data[:1] == b"[":
            self._form = Objects(self.limit, array=True)
            return data[1:]
        if data[:1] == b"{":
            compact = data[:_TELLING].translate(None, BLANK)
            if compact.startswith(_AROUND_ARRAY):
                self._form, self._around = Objects(self.limit, array=True), Scanner(self.limit)
                return data[data.index(b"[") + 1 :]
            if len(data) >= _TELLING or not any(each.startswith(compact) for each in _AROUND_ARRAY):
                self._form = Objects(self.limit)
                return data
        elif data.startswith(_EVENT_FIELDS) or (data and "event-stream" in self.content_type):
            self._form = Events(self.limit)
            return data
        elif not any(each.startswith(data) for each in (_BOM, *_EVENT_FIELDS)):
            shown = tidy(data[:_SHOWN].decode("utf-8", "replace"))
            self.broken = f"what it sends is no JSON: {shown}"
            return b""
        self._first = data
        return b""

    def _after(self, form: Objects, data: bytes, items: list[Object]) -> tuple[bytes, int]:
        """What follows the end of an array: nothing, or the end of the envelope around it. What of the data is left,
        and how much was bad.
        """
        around = self._around
        if around is None:
            if data.strip(BLANK):
                self.broken = "more follows where the array has ended"
            return b"", 0
        if not around.began:
            data = data.lstrip(BLANK + b",")
            if not data:
                return b"", 0
            around.take(b"{", 0, [])
        raws: list[bytes] = []
        at = around.take(data, 0, raws)
        if around.began:
            return b"", 0
        self._form = self._around = None  # another may follow
        said, bad = objects(raws)
        if said != [{}]:
            items += [{**each, "data": None} for each in said]
        return data[at:], bad + around.bad
