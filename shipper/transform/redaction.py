"""Redaction of one text: what patterns find is replaced by `[redacted:<name>]`, until they find nothing more.

Doing it again changes nothing. That needs care: what one pattern leaves can be what another finds, and an expression
may find the marks themselves. So marks are out of every pattern's sight, and patterns go round until a round is quiet.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from shipper.expression import Texts
from shipper.transform.patterns import Pattern

_ROUNDS: Final = 6  # two are usual; patterns that find their own leftovers for ever lose the text to a mark
_DEPTH: Final = 64  # of JSON; what is nested deeper is taken as text

_BARE_MARK: Final = re.compile(rb"([:\[,]\s*)(\[redacted:[a-z0-9_]+\])(?=\s*[,}\]])")


class Redaction:
    """Some patterns, in the order in which they are applied."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        marks = b"|".join(re.escape(pattern.mark) for pattern in self.patterns)
        self._marks = re.compile(b"(" + marks + b")")

    def candidates(self, texts: Texts) -> set[int]:
        """Which of the texts may have something that is to be taken out; few others are among them."""
        found: set[int] = set()
        for pattern in self.patterns:
            found.update(pattern.among(texts))
        return found

    def line(self, text: bytes, counts: Counter[str]) -> bytes:
        """A line. One that is a JSON object stays one where that is possible, and its strings are read as what they
        mean: an escape hides nothing.
        """
        clean = self.text(text, counts)
        if not text.lstrip().startswith(b"{") or (clean == text and b"\\" not in text):
            return clean
        for _ in range(_ROUNDS):
            was, clean = clean, self._object(clean, counts)
            if clean == was:
                return clean
        return self.patterns[0].mark

    def text(self, text: bytes, counts: Counter[str]) -> bytes:
        """Any text."""
        pieces = self._marks.split(text)  # every second one is a mark
        for _ in range(_ROUNDS):
            found = 0
            for pattern in self.patterns:
                pieces, times = _apply(pattern, pieces)
                counts[pattern.name] += times
                found += times
            if not found:
                return b"".join(pieces)
        return self.patterns[0].mark

    def _object(self, text: bytes, counts: Counter[str]) -> bytes:
        """The text as JSON, if it is or can be made an object; and once more as a text."""
        value = parsed(text)
        if value is None:
            quoted = _BARE_MARK.sub(rb'\1"\2"', text)
            if (value := parsed(quoted)) is None:
                return text
            text = quoted
        found: Counter[str] = Counter()
        clean = self.value(value, found)
        if found.total():
            counts.update(found)
            text = orjson.dumps(clean)
        return self.text(text, counts)

    def value(self, value: Any, counts: Counter[str], depth: int = 0) -> Any:
        """JSON data with every string, key and number read as a text. What nothing is found in stays as it is."""
        if isinstance(value, str):
            return self._string(value, counts)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            said = str(value)
            clean = self._string(said, counts)
            return value if clean == said else clean
        if depth >= _DEPTH:
            return self._deep(value, counts)
        if isinstance(value, list):
            return [self.value(item, counts, depth + 1) for item in value]
        cleaned: dict[str, Any] = {}
        for key, item in value.items():
            name = self._string(key, counts)
            while name in cleaned:  # two keys of one mark are still two
                name += "_"
            cleaned[name] = self.value(item, counts, depth + 1)
        return cleaned

    def _string(self, said: str, counts: Counter[str]) -> str:
        text = said.encode("utf-8", "surrogatepass")
        clean = self.text(text, counts)
        return said if clean == text else clean.decode("utf-8", "replace")

    def _deep(self, value: Any, counts: Counter[str]) -> Any:
        try:
            said = orjson.dumps(value)
        except TypeError:  # nested too deeply for anybody
            counts[self.patterns[0].name] += 1
            return self.patterns[0].mark.decode()
        clean = self.text(said, counts)
        return value if clean == said else clean.decode()


def _apply(pattern: Pattern, pieces: list[bytes]) -> tuple[list[bytes], int]:
    """Every text among the pieces without what the pattern finds, and how often it was found."""
    times = 0
    for form in pattern.forms:
        parted: list[bytes] = []
        for index, piece in enumerate(pieces):
            if index % 2 or not piece:
                parted.append(piece)
                continue
            at = 0
            for begin, end in form.spans(piece):
                parted += (piece[at:begin], pattern.mark)
                at = end
                times += 1
            parted.append(piece[at:])
        pieces = parted
    return pieces, times


def parsed(text: bytes) -> dict[str, Any] | None:
    """The JSON object that a text is; None where it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def strings_of(value: Any, depth: int = 0) -> Iterator[str]:
    """Every string, key and number of JSON data, for a quick look at what escapes may hide.

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
