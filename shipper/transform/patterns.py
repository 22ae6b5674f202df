"""Patterns of what is to be taken out of text: a quick look over many texts, and the exact places in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from shipper.expression import Expression, Span, Texts

Judge = Callable[[bytes, Span], bool]
"""Whether this part of a text is meant, where an expression alone cannot tell."""


class Form(Protocol):
    """One way in which something looks."""

    def spans(self, text: bytes) -> Iterator[Span]:
        """Where it is, in order, not empty and not overlapping."""


class Judged:
    """What one of our own expressions finds, and a judge confirms if there is one.

    They look only a bounded distance beyond what they match, so that finding every match needs no bound.
    """

    def __init__(self, source: str, judge: Judge | None = None) -> None:
        self._expression = Expression(source)
        self._judge = judge

    def spans(self, text: bytes) -> Iterator[Span]:
        judge, found = self._judge, self._expression.spans(text, most=len(text))
        return found if judge is None else (span for span in found if judge(text, span))


class Pattern:
    """What goes by one name, which stands in the text in its place.

    `hint` is found in every text that one of the forms is found in, and one of the `literals` stands in each of
    those, if there are any: a search for bytes takes next to no time.
    """

    def __init__(
        self, name: str, forms: Sequence[Form], hint: Expression, literals: Sequence[bytes] = ()
    ) -> None:
        self.is_anchored = False  # ours take a quote for an end
        self.name = name
        self.forms = tuple(forms)
        self.mark = f"[redacted:{name}]".encode()
        self._hint = hint
        self._literals = tuple(literals)

    @classmethod
    def of(cls, name: str, source: str) -> Pattern:
        """A user's own."""
        expression = Expression(source)
        pattern = cls(name, (expression,), expression)
        pattern.is_anchored = expression.is_anchored
        return pattern

    def among(self, texts: Texts) -> list[int]:
        """Which of the texts may have it: all that do, and few others."""
        if self._literals and not any(map(texts.have, self._literals)):
            return []
        return self._hint.among(texts)
