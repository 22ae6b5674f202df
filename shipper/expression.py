"""Regular expressions of users, on RE2: the time that one takes grows with the text and never with its own shape.

The standard library's engine tries alternatives one after the other, so that `(a+)+$` on forty letters takes longer
than the daemon lives; which expressions do so cannot be told for certain from looking at them. RE2 takes them all and
knows no constructs that would need trying (https://github.com/google/re2/wiki/WhyRE2): no look-around, no
back-references. It also reads a whole chunk of lines at once, several times as fast as line by line.
`^` and `$` mean the ends of a line, in a text of several lines of each. RE2 is loaded with the first expression.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, TypeAlias

Span: TypeAlias = tuple[int, int]

MAX_LENGTH: Final = 4_096
PART: Final = "secret"
"""The name of the group that stands for the whole match where only a part of it is meant."""

# States of one expression that RE2 keeps. With less, expressions of a few thousand instructions fall back to an engine
# that reads 20 MB/s in place of 500 (measured with 1 MiB).
_MEMORY: Final = 2 << 20
# A search reads what it is given once, but finding all matches may read it once for each. These bound the sum to a
# half a gibibyte, one or two seconds.
_WINDOW: Final = 64 << 10
_MOST: Final = 8 << 10

_ANCHOR: Final = re.compile(r"(?<!\[)\^|\$|\\[AzB]")  # in doubt it is one
_BOUND_TO_WHOLE_TEXT: Final = re.compile(r"\\[Az]|\(\?[A-Za-z]*-[A-Za-z]*m")


class BadExpression(ValueError):
    """Why it cannot be used: the rest of a sentence that begins with the expression."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Many texts to be read in one go.

    Those of one line are joined; `starts` is where each begins, `numbers` which it is. Those of several are `apart`.
    """

    joined: bytes
    starts: Sequence[int]
    numbers: Sequence[int]
    apart: Mapping[int, bytes]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Texts:
        joined = b"\n".join(texts)
        if joined.count(b"\n") == len(texts) - 1:
            return cls(joined, _starts(texts), range(len(texts)), {})
        numbers = [number for number, text in enumerate(texts) if b"\n" not in text]
        single = [texts[number] for number in numbers]
        apart = {number: text for number, text in enumerate(texts) if b"\n" in text}
        return cls(b"\n".join(single), _starts(single), numbers, apart)

    def have(self, literal: bytes) -> bool:
        """Whether it stands in any of them."""
        return literal in self.joined or any(literal in text for text in self.apart.values())


def _starts(texts: Sequence[bytes]) -> list[int]:
    return [0, *accumulate(len(text) + 1 for text in texts)][:-1]


class Expression:
    """One compiled expression. Raises BadExpression."""

    __slots__ = ("_anywhere", "_in_a_line", "_part", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        plain = _compile(source, never_newline=False)  # on its own first: `a)(b` would fit into a group
        self._anywhere = _compile(f"(?m:{source})", never_newline=False)
        self._in_a_line = (
            None if _BOUND_TO_WHOLE_TEXT.search(source) else _compile(f"(?m:{source})", never_newline=True)
        )
        self._part = int(plain.groupindex.get(PART, 0))

    @property
    def is_anchored(self) -> bool:
        """Whether it may ask for the ends of a text or line. One that does not finds in a text what is in its parts."""
        return _ANCHOR.search(self.source) is not None

    def can_be_empty(self) -> bool:
        """Whether it is found where there is nothing, as `a*` and `\\b` are."""
        found = (self._anywhere.search(text) for text in (b"", b"a", b" 0", b"-"))
        return any(match is not None and not match.group() for match in found)

    def found_in(self, text: str | bytes) -> bool:
        return self._anywhere.search(_bytes(text)) is not None

    def capture(self, text: str | bytes, name: str) -> str | None:
        """What the group of that name matched first; where none has it the first group, or else the whole match."""
        match = self._anywhere.search(_bytes(text))
        if match is None:
            return None
        group = self._anywhere.groupindex.get(name) or min(1, self._anywhere.groups)
        found: bytes | None = match.group(group)
        return None if found is None else found.decode("utf-8", "replace")

    def find(self, text: bytes, start: int) -> Span | None:
        """The next match from there on, for an expression that is never found where there is nothing."""
        match = self._anywhere.search(text, start)
        return None if match is None else match.span()

    def spans(self, text: bytes, most: int = _MOST) -> Iterator[Span]:
        """Every match that is not empty, in order, or the part of it that is meant (the group `secret`).

        A search sees at most so much of a long text, and there are so many matches at most; what follows the last
        one is then a part of it. Otherwise finding each of them could read the rest of the text again.
        """
        at = 0
        while at < len(text):
            end = min(len(text), at + _WINDOW)
            match = self._anywhere.search(text, at, end)
            if match is None:
                at = len(text) if end == len(text) else end - _WINDOW // 2
                continue
            begin, stop = match.span()
            if stop == end < len(text) and begin > at:  # it may be longer
                at = begin
                continue
            part: Span = match.span(self._part)
            at = max(stop, begin + 1)
            most -= 1
            if most <= 0:
                yield max(part[0], begin), len(text)
                return
            if part[0] < part[1]:
                yield part

    def among(self, texts: Texts) -> list[int]:
        """Which of the texts have it, ascending."""
        found = self._among_lines(texts)
        if not texts.apart:
            return found
        return sorted([*found, *(number for number, text in texts.apart.items() if self.found_in(text))])

    def _among_lines(self, texts: Texts) -> list[int]:
        starts, numbers = texts.starts, texts.numbers
        if self._in_a_line is None or not starts:
            ends = [*(start - 1 for start in starts[1:]), len(texts.joined)]
            lines = zip(numbers, starts, ends, strict=False)
            return [number for number, start, end in lines if self.found_in(texts.joined[start:end])]
        search, joined, last = self._in_a_line.search, texts.joined, len(starts) - 1
        found: list[int] = []
        at = 0
        while (match := search(joined, at)) is not None:
            index = bisect_right(starts, match.start()) - 1
            found.append(numbers[index])
            if index == last:
                break
            at = starts[index + 1]  # one match a line is enough, and none reaches into the next line
        return found


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _compile(source: str, *, never_newline: bool) -> Any:
    import re2 as untyped  # 3 MiB that nobody pays who has no expressions

    re2: Any = untyped
    if len(source) > MAX_LENGTH:
        raise BadExpression(f"is longer than {MAX_LENGTH} characters")
    if (
        "\\C" in source
        and (at := next((at for at, piece in _tokens(source) if piece == "\\C"), None)) is not None
    ):
        raise _fault(at, "\\C, a byte, which could cut a character in two; write . for a character")
    options = re2.Options()
    options.max_mem = _MEMORY
    options.never_nl = never_newline
    options.log_errors = False
    try:
        return re2.compile(source, options)
    except UnicodeEncodeError:
        raise BadExpression("has a character that is not Unicode (a lone surrogate)") from None
    except re2.error as error:
        said = error.args[0] if error.args else b""
        raise _explained(
            source, said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        ) from None


# ---- what is wrong with one, and where ----

_TRIES: Final = (
    "which is not supported: an expression takes time in proportion to the line here, whatever it says"
)
_UNSUPPORTED: Final = tuple(
    (re.compile(construct), meaning)
    for construct, meaning in (
        (r"\(\?[=!]", f"looks ahead, {_TRIES}; match what follows too, or use a condition under not"),
        (r"\(\?<[=!]", f"looks behind, {_TRIES}; match what stands before too"),
        (r"\\[1-9]|\(\?P=", f"refers back to a group, {_TRIES}"),
        (r"\(\?\(", f"depends on another group, {_TRIES}"),
        (r"\(\?>", "has an atomic group (?>...); write (?:...), as nothing is tried twice here"),
        (r"[*+?}]\+", "has a possessive repetition; leave the + out, as nothing is tried twice here"),
        (r"\\Z", "has \\Z, which is written \\z here"),
        (r"\(\?[A-Za-z]*[xaLu]", "has a flag that is not known here; there are i, m, s and U, as in (?i)"),
    )
)
_PLAIN_WORDS: Final = {
    "missing ]": "a [ without its ]",
    "no argument for repetition operator": "a repetition with nothing before it; write \\ before it if it is meant",
    "bad repetition operator": "a repetition of a repetition; put the first in (?:...)",
    "invalid repetition size": "a repetition that is not possible: at most {1000} in all, the smaller number first",
    "invalid escape sequence": "an escape that is not known here",
    "invalid character class range": "a range or class that does not exist",
    "invalid named capture group": "a name of a group that is not made of letters, digits and _",
}


def _explained(source: str, said: str) -> BadExpression:
    """RE2 says what it stumbled over, as `reason: fragment`, and not where; the fragment tells."""
    reason, _, fragment = said.partition(": ")
    if reason in ("missing )", "unexpected )"):
        return _fault(_unbalanced(source), "a parenthesis without its counterpart")
    if reason.startswith("trailing"):
        return _fault(len(source) - 1, "a backslash that escapes nothing")
    if "too large" in reason:
        return BadExpression("is too large, because repetitions inside repetitions multiply; ask for fewer")
    places = _places(source, fragment)
    for position in places:
        for construct, meaning in _UNSUPPORTED:
            if construct.match(source, position):
                return BadExpression(f"{meaning} (character {position + 1})")
    return _fault(places[0], _PLAIN_WORDS.get(reason, f"something that is not understood ({reason})"))


def _fault(position: int, what: str) -> BadExpression:
    return BadExpression(f"has {what} (character {position + 1})")


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """Where each character or escape begins, and it; what stands in a [class] is one token."""
    token = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w*:\]|[^\]\\])*\]|.", re.DOTALL)
    return ((found.start(), found[0]) for found in token.finditer(source))


def _places(source: str, fragment: str) -> list[int]:
    """Where a fragment stands as such and not as part of an escape or a class; else where it stands at all."""
    places = [at for at, _ in _tokens(source) if source.startswith(fragment, at)]
    return places or [max(0, source.find(fragment))]


def _unbalanced(source: str) -> int:
    opened: list[int] = []
    for at, piece in _tokens(source):
        if piece == "(":
            opened.append(at)
        elif piece == ")":
            if not opened:
                return at
            opened.pop()
    return opened[0] if opened else 0
