"""Redaction of texts: what patterns find is replaced by `[redacted:<name>]`, until they find nothing more.

Doing it again changes nothing. That needs care: what one pattern leaves can be what another finds, and an expression
may find the marks themselves. So marks are out of every pattern's sight, and patterns go round until a round is quiet.
Texts are looked at many at a time: each pattern reads all of them at once, and few have what it looks for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from shipper.expression import Texts
from shipper.transform.patterns import Pattern

_ROUNDS: Final = 6  # two are usual; a text in which patterns find leftovers for ever is taken out whole
_DEPTH: Final = 64  # of JSON; what is nested deeper is taken as text

Pieces = list[bytes]
"""A text, cut so that every second piece is a mark."""


class Redaction:
    """Some patterns, in the order in which they are applied."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self.is_anchored = any(pattern.is_anchored for pattern in self._patterns)
        """Whether a string of an object may have something that the object as a text does not show."""
        marks = b"|".join(re.escape(pattern.mark) for pattern in self._patterns)
        self._marks = re.compile(b"(" + marks + b")")

    def text(self, text: bytes, counts: Counter[str]) -> bytes:
        """A text without what is to be taken out."""
        return self.texts([text], counts).get(0, text)

    def texts(self, texts: Sequence[bytes], counts: Counter[str]) -> dict[int, bytes]:
        """The same for many; those that change, by their number."""
        suspects = self._suspects(texts)
        cut: dict[int, Pieces] = {}
        for pattern, numbers in zip(self._patterns, suspects, strict=True):
            for number in numbers:
                pieces = cut.get(number) or self._marks.split(texts[number])
                cut[number] = _without(pattern, pieces, counts)
        changed = {number for number, pieces in cut.items() if b"".join(pieces) != texts[number]}
        for _ in range(_ROUNDS - 1):
            if not changed:
                break
            changed = self._round(cut, changed, counts)
        for number in changed:
            cut[number] = [self._patterns[0].mark]
        clean = {number: b"".join(pieces) for number, pieces in cut.items()}
        return {number: text for number, text in clean.items() if text != texts[number]}

    def line(self, text: bytes, counts: Counter[str]) -> bytes:
        """A line: a text that may be a JSON object.

        It stays one where that is possible, and keeps its form unless something in it is a number or has escapes.
        """
        if may_hide(text):
            return self.json(text, counts)
        found: Counter[str] = Counter()
        clean = self.text(text, found)
        if clean != text and is_braced(text):
            if parsed(clean) is not None:
                clean = self.json(clean, found) if self.is_anchored else clean
            elif parsed(text) is not None:
                return self.json(text, counts)
        counts.update(found)
        return clean

    def json(self, text: bytes, counts: Counter[str]) -> bytes:
        """A text that may be a JSON object: its strings are read as what they mean, so that an escape hides nothing
        and is not taken for a letter; and then the text.
        """
        for _ in range(_ROUNDS):
            was = text
            value = parsed(text)
            if value is not None and (clean := self.value(value, counts)) is not value:
                text = orjson.dumps(clean)
            text = self.text(text, counts)
            if text == was:
                return text
        return self._patterns[0].mark

    def value(self, value: Any, counts: Counter[str]) -> Any:
        """JSON data with every string, key and number read as a text; the same object where nothing is found."""
        try:
            strings = [*strings_of(value)]
        except TypeError:  # nested too deeply for anybody
            counts[self._patterns[0].name] += 1
            return {"": self._patterns[0].mark.decode()}
        changed = self.texts([string.encode("utf-8", "surrogatepass") for string in strings], counts)
        if not changed:
            return value
        return _replaced(value, {strings[number]: text.decode() for number, text in changed.items()})

    def suspects(self, texts: Sequence[bytes]) -> set[int]:
        """Those that may have what is to be taken out: all that do, and few others."""
        return {number for found in self._suspects(texts) for number in found}

    def _suspects(self, texts: Sequence[bytes]) -> list[list[int]]:
        """For each pattern the texts that may have what it finds."""
        together = Texts.of(texts)
        return [pattern.among(together) for pattern in self._patterns]

    def _round(self, cut: dict[int, Pieces], changed: set[int], counts: Counter[str]) -> set[int]:
        """Once more over the texts that have changed; those that change again."""
        owners = [(number, at) for number in sorted(changed) for at in range(0, len(cut[number]), 2)]
        suspects = self._suspects([cut[number][at] for number, at in owners])
        again: set[int] = set()
        for pattern, found in zip(self._patterns, suspects, strict=True):
            for number in sorted({owners[suspect][0] for suspect in found}):
                before = len(cut[number])
                cut[number] = _without(pattern, cut[number], counts)
                if len(cut[number]) != before:
                    again.add(number)
        return again


def is_braced(text: bytes) -> bool:
    """Whether it could be a JSON object."""
    return text.lstrip().startswith(b"{")


def may_hide(text: bytes) -> bool:
    """Whether it could be a JSON object with escapes, behind which a pattern sees nothing."""
    return b"\\" in text and is_braced(text)


def parsed(text: bytes) -> dict[str, Any] | None:
    """The JSON object that a text is; None where it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def strings_of(value: Any, depth: int = 0) -> Iterator[str]:
    """Every string, key and number of JSON data as a text.

    Raises TypeError for data that is nested too deeply for anybody.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        if depth >= _DEPTH:
            yield orjson.dumps(value).decode()
            return
        if isinstance(value, dict):
            yield from value
            value = value.values()
        for item in value:
            yield from strings_of(item, depth + 1)
    elif not isinstance(value, bool) and value is not None:
        yield str(value)


def _replaced(value: Any, clean: Mapping[str, str], depth: int = 0) -> Any:
    """The data with other texts in place of some; `strings_of` is how it was read."""
    if isinstance(value, str):
        return clean.get(value, value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return clean.get(str(value), value)
    if depth >= _DEPTH:
        return _read_again(clean.get(orjson.dumps(value).decode()), value)
    if isinstance(value, list):
        return [_replaced(item, clean, depth + 1) for item in value]
    replaced: dict[str, Any] = {}
    for key, item in value.items():
        name = clean.get(key, key)
        while name in replaced:  # two keys of one mark are still two
            name += "_"
        replaced[name] = _replaced(item, clean, depth + 1)
    return replaced


def _read_again(said: str | None, value: Any) -> Any:
    """What was taken as text, as data if it still is some."""
    if said is None:
        return value
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError:
        return said


def _without(pattern: Pattern, pieces: Pieces, counts: Counter[str]) -> Pieces:
    """Every text among the pieces without what the pattern finds."""
    for form in pattern.forms:
        parted: Pieces = []
        for index, piece in enumerate(pieces):
            if index % 2 or not piece:
                parted.append(piece)
                continue
            at = 0
            for begin, end in form.spans(piece):
                parted += (piece[at:begin], pattern.mark)
                at = end
                counts[pattern.name] += 1
            parted.append(piece[at:])
        pieces = parted
    return pieces
