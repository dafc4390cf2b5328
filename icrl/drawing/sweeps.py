"""What was measured at several sizes of one thing, with a tick at each.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw.
"""

from collections.abc import Mapping, Sequence
from typing import Any

COLOR = "#D55E00"  # of what is measured


def draw_sizes(ax: Any, sizes: Any, estimates: Any, label: str) -> None:
    """Draws a mean with its interval at every size.

    Args:
        ax: where.
        sizes: on the horizontal axis.
        estimates: `(mean, low, high)` at each.
        label: in the legend.
    """
    means = [mean for mean, _, _ in estimates]
    errors = [
        [mean - low for mean, low, _ in estimates],
        [high - mean for mean, _, high in estimates],
    ]
    ax.errorbar(sizes, means, errors, fmt="o-", color=COLOR, label=label)


def name_sizes(ax: Any, sizes: Any) -> None:
    """Gives every size its tick on a logarithmic axis, once all is drawn."""
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()


def draw_offline_returns(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    panel: str,
    sweep: str,
    ceiling: str,
    top: float,
) -> None:
    """Draws the return given a data set by one size of a DPT.

    Args:
        ax: where.
        summary: has the rows of the agents `<sweep>_<size>`, and published values.
        arrays: has the mean of the ceiling.
        panel: of the rows.
        sweep: name of the size.
        ceiling: the exact posterior, an agent of the panel.
        top: of the vertical axis.
    """
    from icrl.drawing import figures

    start = f"{panel}/{sweep}_"
    sizes = sorted(int(size) for size in figures.names_in(arrays, start, "/mean"))
    rows = [
        figures.find_row(summary, panel, f"{sweep}_{size}", "return") for size in sizes
    ]
    draw_sizes(ax, sizes, [(r["mean"], r["low"], r["high"]) for r in rows], "DPT")
    published = [(s, r["published"]) for s, r in zip(sizes, rows, strict=True)]
    marks = {size: value for size, value in published if value is not None}
    style = {"mfc": "none", "mec": "black", "ms": 5, "label": "published"}
    ax.plot(marks.keys(), marks.values(), "D", **style)
    most = arrays[f"{panel}/{ceiling}/mean"][0]
    label = f"exact posterior {most:.1f}"
    ax.axhline(most, color="black", linestyle=":", linewidth=1.2, label=label)
    ax.set(xlabel=sweep, ylabel="return of an episode, offline", ylim=(0, top))
    name_sizes(ax, sizes)
    figures.beside(ax)


def draw_gaps(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    start: str,
    xlabel: str,
    slope: float | None = None,
    shape: str = "",
) -> None:
    """Draws a gap to the target, its first bound, and the theorem's shape through that.

    Args:
        ax: where.
        summary: of the run.
        arrays: `<start><size>/gap` and `<start><size>/telescoping_bound`, as
            `performance_gap.of_gaps` gives them.
        start: how the settings are called.
        xlabel: what the sizes are.
        slope: exponent of the theorem's bound; not drawn if None.
        shape: the bound in words.
    """
    import numpy as np

    from icrl.drawing import figures

    del summary
    sizes = sorted(int(name) for name in figures.names_in(arrays, start, "/gap"))
    bounds = np.array([arrays[f"{start}{x}/telescoping_bound"] for x in sizes])
    gaps = [arrays[f"{start}{x}/gap"] for x in sizes]
    draw_sizes(ax, sizes, gaps, "measured gap")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel=xlabel, ylabel="regret above the target (reward units)")
    name_sizes(ax, sizes)
    bound = ax.twinx()  # a hundred times what could be seen of a gap
    blue = "#0072B2"
    bound.plot(sizes, bounds, "s--", color=blue, label="Σ (T - t) TV: first bound")
    if slope is not None:
        line = bounds[-1] * (np.array(sizes) / sizes[-1]) ** slope
        bound.plot(sizes, line, "k:", label=f"the theorem's shape, ${shape}$")
    bound.set_ylabel("bounds (reward units)", color=blue)
    bound.set_ylim(bottom=0.0)
    handles, labels = ax.get_legend_handles_labels()
    more = bound.get_legend_handles_labels()
    place = {"loc": "upper left", "bbox_to_anchor": (1.16, 1.0)}
    ax.legend(handles + more[0], labels + more[1], frameon=False, fontsize=8, **place)


def draw_returns(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    panel: str,
    agents: Sequence[str],
    xlabel: str,
    levels: Mapping[str, float],
    limits: tuple[float, float] | None = None,
) -> None:
    """Draws what every agent earns at each size of a task, side by side.

    Args:
        ax: where.
        summary: has the rows `return_<size>`.
        arrays: has `<panel>/sizes`.
        panel: of the rows.
        agents: in the legend's order.
        xlabel: what a size is.
        levels: returns to compare with, and what they are.
        limits: of the vertical axis, where intervals reach beyond what can be earned.
    """
    import numpy as np

    from icrl.drawing import figures

    for (label, level), line in zip(levels.items(), ("--", ":"), strict=False):
        ax.axhline(level, color="0.4", linestyle=line, linewidth=1, label=label)
    sizes = arrays[f"{panel}/sizes"]
    there = {row["agent"] for row in summary["rows"] if row["panel"] == panel}
    shown = [agent for agent in agents if agent in there]
    apart = max(1.02, (sizes.max() / sizes.min()) ** 0.012)  # the axis is logarithmic
    asides = apart ** (np.arange(len(shown)) - (len(shown) - 1) / 2)
    for aside, (agent, style) in zip(
        asides, figures.styles_of(shown).items(), strict=True
    ):
        rows = [
            figures.find_row(summary, panel, agent, f"return_{size}") for size in sizes
        ]
        means = [row["mean"] for row in rows]
        errors = [[row["mean"] - row["low"] for row in rows]]
        errors += [[row["high"] - row["mean"] for row in rows]]
        line = {"marker": "o", "markersize": 4, **style}
        label = figures.label_of(agent)
        ax.errorbar(sizes * aside, means, errors, **line, label=label)
    name_sizes(ax, sizes)
    ax.set(xlim=(sizes.min() / 1.1, sizes.max() * 1.1))  # also around a single size
    ax.set(xlabel=xlabel, ylabel="return of an episode", ylim=limits)
    figures.beside(ax)
