"""The formula of what shipper costs is found again where there is one, and its plot is an image."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tests.bench.costs import Costs, Fit, Load, Measured, core_terms, fit
from tests.bench.plot import Curve, Panel, svg

LOADS = [
    Load(replicas, lines, size)
    for replicas, lines, size in (
        (1, 100, 200),
        (1, 20_000, 200),
        (50, 100, 80),
        (50, 20_000, 1_000),
        (2_000, 500, 200),
        (2_000, 10_000, 200),
        (500, 3_000, 8_000),
    )
]


def test_factors_are_found_again_from_what_they_make() -> None:
    made = Fit(core_terms, (0.01, 1e-6, 30e-6, 2e-6, 0.005))
    found = fit(core_terms, LOADS, [made(load) for load in LOADS])
    assert found.factors == pytest.approx(made.factors, rel=1e-3)


def test_no_factor_is_below_zero_since_nothing_becomes_cheaper_by_more_of_it() -> None:
    found = fit(core_terms, LOADS, [0.05 - load.lines_per_s * 1e-6 for load in LOADS])
    assert min(found.factors) >= 0


def test_a_line_is_a_read_of_its_own_until_one_replica_prints_many_at_once() -> None:
    assert Load(2_000, 10_000, 200).reads_per_s == 10_000
    assert Load(1, 10_000, 200).reads_per_s == 200


def test_a_buffer_grows_with_lines_and_with_time() -> None:
    costs = Costs.of([Measured(load, 0.1, 100.0, 15 + 0.1 * load.size) for load in LOADS])
    load = Load(50, 1_000, 250)
    assert costs.buffer_bytes(load, 3600) == pytest.approx(1_000 * 40 * 3600, rel=0.01)


def test_a_plot_is_an_image_with_a_curve_and_its_points_and_names_that_do_not_break_it() -> None:
    curves = [Curve(f"<{n} & more>", lambda x: x / 1e5, [(200.0, 0.002)]) for n in range(3)]
    panel = Panel("title", "x", "y", (2, 5), (-3, 0), "{:.1%}".format, curves)
    image = ElementTree.fromstring(svg([panel, panel]))
    space = "{http://www.w3.org/2000/svg}"
    assert len(list(image.iter(f"{space}path"))) == len(list(image.iter(f"{space}circle"))) == 6
    names = [text for text in image.iter(f"{space}text") if text.get("class", "").startswith("name")]
    assert [name.text for name in names] == ["<0 & more>", "<1 & more>", "<2 & more>"] * 2
    heights = [float(name.get("y", "0")) for name in names[:3]]
    assert all(later - earlier > 14.5 for earlier, later in pairwise(heights))
