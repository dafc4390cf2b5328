"""The house style: what stands in a panel, and where."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from matplotlib.colors import to_rgb
from matplotlib.text import Annotation

from icrl.drawing import bars, figures
from icrl.drawing.styles import SPARE_COLORS, STYLE

AXES = {"title": "t", "xlabel": "x", "ylabel": "y"}


@pytest.fixture
def ax():
    drawn, axes = figures.new_figure(1)
    yield axes[0, 0]
    matplotlib.pyplot.close(drawn)


def curve(agent="dpt", spread=0.1, seeds=2, time=20):
    mean = np.linspace(0, 1, time)
    found = {"online/steps": np.arange(1, time + 1)}
    parts = {"mean": mean, "low": mean - spread, "high": mean + spread}
    parts["by_seed"] = np.stack([mean + 0.1 * seed for seed in range(seeds)])
    return found | {f"online/{agent}/{part}": v for part, v in parts.items()}


def test_agents_of_ones_own_have_colours_that_the_house_does_not_use():
    styles = figures.styles_of(["dpt", "mine", "yours", "theirs"])
    house = {style.get("color") for style in STYLE.values()}
    own = [styles[agent]["color"] for agent in ("mine", "yours", "theirs")]
    assert len(set(own)) == 3 and not house & set(own)
    assert styles["dpt"]["color"] == STYLE["dpt"]["color"]
    for spare in SPARE_COLORS:  # nor any that looks like one of them
        apart = [np.subtract(to_rgb(spare), to_rgb(known)) for known in house]
        assert np.linalg.norm(apart, axis=1).min() > 0.12, spare


def test_a_style_is_given_by_argument_and_may_name_the_agent(ax):
    styles = {"mine": {"color": "#123456", "label": "My agent", "linestyle": ":"}}
    figures.draw_curves(ax, curve("mine"), "online", styles=styles, **AXES)
    line = ax.lines[0]
    assert (line.get_color(), line.get_linestyle()) == ("#123456", ":")
    assert line.get_label().startswith("My agent")


def test_the_legend_stands_beside_the_axes(ax):
    figures.draw_curves(ax, curve(), "online", **AXES)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_the_axis_fits_the_curves_and_a_value_above_it_is_an_arrow(ax):
    marks = {"dpt": {5: 0.5, 20: 24.5}}
    figures.draw_curves(ax, curve(), "online", marks=marks, **AXES)
    assert ax.get_ylim()[1] < 1.5
    (arrow,) = [child for child in ax.get_children() if isinstance(child, Annotation)]
    assert arrow.get_text() == "24.5" and arrow.xy == (20, 1.0)
    (shown,) = [x for x in ax.lines if x.get_marker() == "D" and len(x.get_xdata())]
    assert list(shown.get_xdata()) == [5] and not shown.get_clip_on()


@pytest.mark.parametrize(("spread", "bands", "lines"), [(0.1, 1, 1), (3.0, 0, 3)])
def test_a_band_that_hides_the_panel_becomes_a_line_for_each_seed(
    ax, spread, bands, lines
):
    figures.draw_curves(ax, curve(spread=spread), "online", **AXES)
    assert (len(ax.collections), len(ax.lines)) == (bands, lines)


def test_a_figure_says_what_labelled_its_models():
    row = {"seeds": 1, "tasks": 40, "trajectories": 40, "low": 0.0, "high": 1.0}
    summary = {"rows": [row], "labels": {"model": "mean of 8 posterior draws"}}
    assert figures.units_of(summary).endswith("; labels: mean of 8 posterior draws")
    assert "labels" not in figures.units_of({"rows": [row]})  # older than the entry


def test_a_figure_without_intervals_does_not_speak_of_them():
    row = {"seeds": 0, "tasks": 40, "trajectories": 40, "low": 0.5, "high": 0.5}
    assert figures.units_of({"rows": [row]}) == "means over 40 tasks"
    other = row | {"high": 0.6}
    assert "intervals over 40 tasks" in figures.units_of({"rows": [row, other]})


@pytest.mark.parametrize(
    ("yscale", "mean", "dots"), [("linear", 0, 1), ("linear", 1, 0), ("log", 0, 0)]
)
def test_a_bar_of_height_0_has_a_dot_where_its_axis_has_a_0(ax, yscale, mean, dots):
    row = {"panel": "online", "agent": "dpt", "metric": "return", "published": None}
    rows = [row | {"mean": mean, "low": mean, "high": mean + 0.1}]
    drawing = {"metric": "return", "agents": ["dpt"], "title": "t", "ylabel": "y"}
    bars.draw_bars(ax, {"rows": rows}, {"online": "p"}, yscale=yscale, **drawing)
    ax.figure.canvas.draw()  # a layout that collapses warns, and a warning is an error
    assert sum(line.get_marker() == "o" for line in ax.lines) == dots
