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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Span: TypeAlias = tuple[int, int]

MAX_LENGTH: Final = 4_096
PART: Final = "secret"
"""The name of the group that stands for the whole match where only a part of it is meant."""

# States of one expression that RE2 keeps. With less, expressions of a few thousand instructions fall back to an engine
# that reads 20 MB/s in place of 500 (measured with 1 MiB).
_MEMORY: Final = 2 << 20
# One search reads the text once, but finding every match may read its end again for each: this bounds the sum.
_WORK: Final = 1 << 30

_BOUND_TO_WHOLE_TEXT: Final = re.compile(r"\\[Az]|\(\?[A-Za-z]*-[A-Za-z]*m")


class BadExpression(ValueError):
    """Why it cannot be used: the rest of a sentence that begins with the expression."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Texts joined by newlines, to be read in one go. `starts` is where each begins; none has a newline in it."""

    joined: bytes
    starts: Sequence[int]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Lines:
        starts: list[int] = []
        at = 0
        for text in texts:
            starts.append(at)
            at += len(text) + 1
        return cls(b"\n".join(texts), starts)


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

    def find(self, data: bytes, start: int) -> tuple[Span, Span] | None:
        """The next match that is not empty, and the part of it that is meant (the group `secret`, or all)."""
        while start <= len(data) and (match := self._anywhere.search(data, start)) is not None:
            whole: Span = match.span()
            part: Span = match.span(self._part)
            if part[0] < part[1]:
                return whole, part
            start = max(whole[1], start + 1)
        return None

    def spans(self, data: bytes) -> Iterator[Span]:
        """Every match, or the part of it that is meant, in order.

        Where a long text has so many that reading it again for each could take seconds, all that follows is one match.
        """
        at, left = 0, max(1, _WORK // max(1, len(data)))
        while (found := self.find(data, at)) is not None:
            whole, part = found
            left -= 1
            if not left:
                yield part[0], len(data)
                return
            yield part
            at = whole[1]

    def among(self, lines: Lines) -> list[int]:
        """The indices of the lines in which it is found, ascending."""
        if self._in_a_line is None or not lines.starts:
            return self._one_by_one(lines)
        search, joined, starts = self._in_a_line.search, lines.joined, lines.starts
        found: list[int] = []
        at, count = 0, len(starts)
        while (match := search(joined, at)) is not None:
            index = bisect_right(starts, match.start()) - 1
            found.append(index)
            if index + 1 == count:
                break
            at = starts[index + 1]
        return found

    def _one_by_one(self, lines: Lines) -> list[int]:
        ends = [*(start - 1 for start in lines.starts[1:]), len(lines.joined)]
        return [
            index
            for index, (start, end) in enumerate(zip(lines.starts, ends, strict=True))
            if self._anywhere.search(lines.joined[start:end]) is not None
        ]


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
    position = _find(source, fragment)
    for construct, meaning in _UNSUPPORTED:
        if construct.match(source, position):
            return BadExpression(f"{meaning} (character {position + 1})")
    return _fault(position, _PLAIN_WORDS.get(reason, f"something that is not understood ({reason})"))


def _fault(position: int, what: str) -> BadExpression:
    return BadExpression(f"has {what} (character {position + 1})")


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """Where each character or escape begins, and it; what stands in a [class] is one token."""
    token = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w*:\]|[^\]\\])*\]|.", re.DOTALL)
    return ((found.start(), found[0]) for found in token.finditer(source))


def _find(source: str, fragment: str) -> int:
    """Where a fragment stands as such and not as part of an escape or a class; else where it stands at all."""
    begins = (at for at, _ in _tokens(source) if source.startswith(fragment, at))
    return next(begins, max(0, source.find(fragment)))


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
