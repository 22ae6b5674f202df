"""Redaction of entries: every text of a record that leaves, and what was read from it.

Texts are lines, messages and reasons of events, details of gaps, fields, and a failure's message. The lines before a
failure are entries too, and are remembered when they have been through here.
Whose record it is (organization, app, replica, node, cluster, ids) is never touched: layout, routes and tags use it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shipper.entry import Entry
from shipper.model import Kind
from shipper.transform.decoding import TEXT_KEYS
from shipper.transform.redaction import Redaction, is_braced, may_hide, parsed, strings_of
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
        texts = _texts_of(entries)
        changed = self._redaction.texts(texts, counts)
        hiding = self._hiding(entries, texts)
        for index in sorted(hiding.union(changed)):
            self._put(entries[index], texts[index], changed.get(index, texts[index]), counts)
        for index, entry in enumerate(entries):
            if entry.failure is not None:
                message = self._message(entry.failure.message, texts[index])
                entry.failure = replace(entry.failure, message=message)
        if entries and entries[0].kind is Kind.EVENTS:
            self._clean_reasons(entries, counts)

    def _clean_reasons(self, entries: Sequence[Entry], counts: Counter[str]) -> None:
        reasons = [_bytes(str(entry.record.get("reason", ""))) for entry in entries]
        for index, reason in self._redaction.texts(reasons, counts).items():
            entries[index].record["reason"] = reason.decode()

    def _hiding(self, entries: Sequence[Entry], texts: Sequence[bytes]) -> set[int]:
        """The entries whose line is a JSON object with something behind its escapes."""
        owners: list[int] = []
        strings: list[bytes] = []
        found: set[int] = set()
        for index, text in enumerate(texts):
            if b"\\" not in text or not may_hide(text):
                continue
            fields = entries[index].fields if entries[index].lines == 1 else None
            try:
                more = [_bytes(said) for said in strings_of(fields if fields is not None else parsed(text))]
            except TypeError:  # nested too deeply for anybody
                found.add(index)
                continue
            owners += [index] * len(more)
            strings += more
        found.update(owners[number] for number in self._redaction.texts(strings, Counter()))
        return found

    def _put(self, entry: Entry, text: bytes, clean: bytes, counts: Counter[str]) -> None:
        """The entry with its redacted text. Fields are what the line says then; where it is no object any more, or
        several lines, what remains of them.
        """
        fields: Mapping[str, Any] | None = None
        if is_braced(text):
            clean = self._redaction.json(clean, counts)
            fields = parsed(clean)
        if entry.fields is not None:
            if fields is None and entry.lines > 1:
                fields = self._redaction.value(dict(entry.fields), Counter())
            entry.fields = fields
        key = TEXT_KEYS[entry.kind]
        try:
            entry.record[key] = entry.text = clean.decode()
        except UnicodeDecodeError:
            entry.record[key] = clean
            entry.text = clean.decode("utf-8", "replace")

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


def _texts_of(entries: Sequence[Entry]) -> list[bytes]:
    """The texts as they leave: the exact bytes of lines that are not Unicode. All entries are of one kind."""
    if not entries:
        return []
    key = TEXT_KEYS[entries[0].kind]
    said = [entry.record.get(key, "") for entry in entries]
    return [text if type(text) is bytes else _bytes(text) for text in said]


def _bytes(said: str) -> bytes:
    return said.encode("utf-8", "surrogatepass")
