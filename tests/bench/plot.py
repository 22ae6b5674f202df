"""A plot of curves with two logarithmic axes, as SVG that can be read on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

_WIDTH: Final = 400
_HEIGHT: Final = 330
_LEFT, _TOP, _RIGHT, _BOTTOM = 58, 40, 96, 46
_COLOURS: Final = ("c0", "c1", "c2", "c3")
_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #24292f; } .title { font-weight: 600; }
.page { fill: #ffffff; } .grid { stroke: #d0d7de; }
.c0 { --own: #0550ae; } .c1 { --own: #953800; } .c2 { --own: #116329; } .c3 { --own: #8250df; }
path { fill: none; stroke: var(--own); stroke-width: 2; } circle, .name { fill: var(--own); }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .page { fill: #0d1117; } .grid { stroke: #3d444d; }
.c0 { --own: #79c0ff; } .c1 { --own: #ffa657; } .c2 { --own: #7ee787; } .c3 { --own: #d2a8ff; } }"""


@dataclass(frozen=True, slots=True)
class Curve:
    """A formula over x, and what was measured."""

    name: str
    formula: Callable[[float], float]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one pair of axes, from 10**low to 10**high each."""

    title: str
    x_name: str
    y_name: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    y_text: Callable[[float], str]
    curves: Sequence[Curve]

    def x(self, value: float) -> float:
        return _LEFT + _part(value, self.x_range) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - _part(value, self.y_range) * (_HEIGHT - _TOP - _BOTTOM)


def svg(panels: Sequence[Panel]) -> str:
    """The panels side by side."""
    width = _WIDTH * len(panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{_HEIGHT}" rx="6"/>',
    ]
    for index, panel in enumerate(panels):
        lines += [f'<g transform="translate({index * _WIDTH} 0)">', *_axes(panel), *_curves(panel), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def _axes(panel: Panel) -> Iterator[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    yield f'<text class="title" x="{_LEFT}" y="18">{escape(panel.title)}</text>'
    for tick in _ticks(panel.x_range):
        x = panel.x(tick)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:,.0f}</text>'
    for tick in _ticks(panel.y_range):
        y = panel.y(tick)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(panel.y_text(tick))}</text>'
    yield f'<text x="{(_LEFT + right) / 2}" y="{bottom + 34}" text-anchor="middle">{escape(panel.x_name)}</text>'
    yield f'<text x="{_LEFT}" y="{_TOP - 6}">{escape(panel.y_name)}</text>'


def _curves(panel: Panel) -> Iterator[str]:
    low, high = panel.x_range
    steps = [10 ** (low + (high - low) * step / 60) for step in range(61)]
    labels = _apart([panel.y(curve.formula(steps[-1])) for curve in panel.curves])
    for curve, colour, label in zip(panel.curves, _COLOURS, labels, strict=False):
        seen = [x for x in steps if curve.formula(x) <= 10 ** panel.y_range[1]]
        path = " ".join(f"{panel.x(x):.1f},{panel.y(curve.formula(x)):.1f}" for x in seen)
        yield f'<path class="{colour}" d="M{path}"/>'
        for x, y in curve.points:
            yield f'<circle class="{colour}" cx="{panel.x(x):.1f}" cy="{panel.y(y):.1f}" r="3.5"/>'
        yield f'<text class="name {colour}" x="{_WIDTH - _RIGHT + 6}" y="{label + 4:.1f}">{escape(curve.name)}</text>'


def _apart(places: Sequence[float]) -> list[float]:
    """Where labels stand that would lie on each other: 15 below the one above."""
    moved = list(places)
    last = float("-inf")
    for index in sorted(range(len(moved)), key=moved.__getitem__):
        last = moved[index] = max(moved[index], last + 15)
    return moved


def _ticks(span: tuple[float, float]) -> list[float]:
    return [10.0**power for power in range(ceil(span[0]), floor(span[1]) + 1)]


def _part(value: float, span: tuple[float, float]) -> float:
    low, high = span
    return min(1.0, max(0.0, (log10(value) - low) / (high - low)))
