"""Redaction of entries: every text of a record that leaves, and what was read from it.

Texts are lines, messages and reasons of events, details of gaps, fields, a failure's message, the lines before it.
Whose record it is (organization, app, replica, node, cluster, ids) is never touched: layout, routes and tags use it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from shipper.entry import Entry
from shipper.expression import Texts
from shipper.model import Kind
from shipper.transform.decoding import TEXT_KEYS
from shipper.transform.redaction import Redaction, parsed, strings_of
from shipper.transform.stacks.port import MAX_MESSAGE

_BEYOND: Final = 4096  # bytes after a message that was cut: longer than a token


class Redactor:
    """Takes out of entries what some patterns find. `counts` says how often, by pattern."""

    def __init__(self, redaction: Redaction) -> None:
        self.counts: Counter[str] = Counter()
        self._redaction = redaction

    def clean(self, entries: Sequence[Entry], *, counted: bool = True) -> None:
        """Change the entries in place. Most have nothing to take out, which one look at all of them tells."""
        counts = self.counts if counted else Counter[str]()
        owners: list[int] = []
        texts: list[bytes] = []
        suspects: set[int] = set()
        for index, entry in enumerate(entries):
            text = _text_of(entry)
            owners.append(index)
            texts.append(text)
            if entry.before or entry.failure is not None or entry.kind is Kind.EVENTS or b"\\" in text:
                try:
                    more = [*_further(entry, text)]
                except TypeError:
                    suspects.add(index)
                    continue
                owners += [index] * len(more)
                texts += more
        suspects.update(owners[found] for found in self._redaction.candidates(Texts.of(texts)))
        for index in sorted(suspects):
            self._clean_one(entries[index], counts)

    def _clean_one(self, entry: Entry, counts: Counter[str]) -> None:
        text = _text_of(entry)
        clean = self._redaction.line(text, counts)
        if clean != text:
            _put(entry, clean)
        if entry.kind is Kind.EVENTS and (reason := entry.record.get("reason")):
            entry.record["reason"] = self._plain(str(reason), counts)
        if entry.fields is not None and (clean != text or b"\\" in text):
            # What the line says now, so that fields and line agree; where it is no object any more, or several lines,
            # the fields for themselves.
            fields = parsed(clean)
            if fields is None and entry.lines > 1:
                fields = self._redaction.value(dict(entry.fields), Counter())
            entry.fields = fields
        if entry.failure is not None:
            entry.failure = replace(entry.failure, message=self._message(entry.failure.message, text))
        if entry.before:
            entry.before = tuple((at, self._line(said)) for at, said in entry.before)

    def _message(self, message: str, text: bytes) -> str:
        """A failure's message. One that was cut may end in half a secret, which only the text shows whole."""
        if len(message) < MAX_MESSAGE:
            return self._plain(message, Counter())
        said = _bytes(message)
        at = text.find(said)
        whole = text[at : at + len(said) + _BEYOND] if at >= 0 else said[: said.rfind(b" ") + 1]
        return self._plain(whole.decode("utf-8", "replace"), Counter())[:MAX_MESSAGE]

    def _plain(self, said: str, counts: Counter[str]) -> str:
        return self._redaction.text(_bytes(said), counts).decode("utf-8", "replace")

    def _line(self, said: str) -> str:
        return self._redaction.line(_bytes(said), Counter()).decode("utf-8", "replace")


def _text_of(entry: Entry) -> bytes:
    """The text as it leaves: the exact bytes of a line that is not Unicode."""
    text = entry.record.get(TEXT_KEYS[entry.kind], "")
    return text if isinstance(text, bytes) else _bytes(text)


def _put(entry: Entry, text: bytes) -> None:
    key = TEXT_KEYS[entry.kind]
    try:
        entry.record[key] = entry.text = text.decode()
    except UnicodeDecodeError:
        entry.record[key] = text
        entry.text = text.decode("utf-8", "replace")


def _further(entry: Entry, text: bytes) -> Iterator[bytes]:
    """What else of the entry has to be looked at."""
    if b"\\" in text and text.lstrip().startswith(b"{"):
        fields = entry.fields if entry.lines == 1 else None
        yield from map(_bytes, strings_of(fields if fields is not None else parsed(text)))
    if entry.kind is Kind.EVENTS:
        yield _bytes(str(entry.record.get("reason", "")))
    if entry.failure is not None:
        yield _bytes(entry.failure.message)
    for _, said in entry.before:
        yield _bytes(said)


def _bytes(said: str) -> bytes:
    return said.encode("utf-8", "surrogatepass")
