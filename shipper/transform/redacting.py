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
        hiding = {index for index, text in enumerate(texts) if b"\\" in text and may_hide(text)}
        open_ = [index for index in range(len(texts)) if index not in hiding]
        found = self._redaction.texts([texts[index] for index in open_], counts)
        changed = {open_[number]: text for number, text in found.items()}
        changed.update(self._objects(changed, texts, counts))
        for index in self._suspects(
            [(index, texts[index], entries[index].fields) for index in sorted(hiding)]
        ):
            changed[index] = self._redaction.line(texts[index], counts)
        for index, text in changed.items():
            self._put(entries[index], text)
        for index, entry in enumerate(entries):
            if entry.failure is not None:
                message = self._message(entry.failure.message, texts[index])
                entry.failure = replace(entry.failure, message=message)
        if entries and entries[0].kind is Kind.EVENTS:
            self._clean_reasons(entries, counts)

    def _objects(
        self, changed: Mapping[int, bytes], texts: Sequence[bytes], counts: Counter[str]
    ) -> dict[int, bytes]:
        """Those of the changed texts that were objects and have to be looked at as such, as they are then."""
        clean: dict[int, bytes] = {}
        sound: list[tuple[int, bytes, Mapping[str, Any] | None]] = []
        for index, text in changed.items():
            if not is_braced(texts[index]):
                continue
            if (value := parsed(text)) is not None:
                if self._redaction.is_anchored:
                    sound.append((index, text, value))
                continue
            counted = Counter[str]()
            self._redaction.text(texts[index], counted)
            counts.subtract(counted)
            clean[index] = self._redaction.line(texts[index], counts)
        for index in self._suspects(sound):
            clean[index] = self._redaction.json(changed[index], counts)
        return clean

    def _suspects(self, lines: Sequence[tuple[int, bytes, Mapping[str, Any] | None]]) -> list[int]:
        """Those of the lines, given by number, text and the object that each is, in which there may be something."""
        owners: list[int] = []
        strings: list[bytes] = []
        found: set[int] = set()
        for index, text, value in lines:
            try:
                said = map(_bytes, strings_of(value if value is not None else parsed(text)))
                strings += [text, *said]
            except TypeError:  # nested too deeply for anybody
                found.add(index)
            owners += [index] * (len(strings) - len(owners))
        found.update(owners[number] for number in self._redaction.suspects(strings))
        return sorted(found)

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

    def _put(self, entry: Entry, clean: bytes) -> None:
        """The entry with its redacted text. Fields are what the line says then; where it is no object any more, or
        several lines, what remains of them.
        """
        if entry.fields is not None:
            fields: Mapping[str, Any] | None = parsed(clean)
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
        if said not in text:
            return self._plain(message.rpartition(" ")[0], Counter())
        end = text.find(said) + len(said)
        whole = said + text[end : end + _BEYOND].partition(b"\n")[0]
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
