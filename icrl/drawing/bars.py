"""Groups of bars: one group for each panel, one bar for each agent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from icrl.drawing.figures import beside, find_row, label_of, styles_of


def draw_bars(
    ax: Axes,
    summary: Mapping[str, Any],
    panels: Mapping[str, str],
    *,
    metric: str,
    agents: Sequence[str],
    title: str,
    ylabel: str,
    yscale: str = "linear",
) -> None:
    """Draws one group of bars for each panel, with intervals and published values.

    Args:
        ax: where.
        summary: a run's summary.
        panels: panel names, and how each group is labelled.
        metric: of the rows.
        agents: one bar each, in this order.
        title: above the panel.
        ylabel: name and unit of the vertical axis.
        yscale: "linear" or "log".
    """
    width = 0.8 / len(agents)
    styles, published = styles_of(agents), False
    for place, agent in enumerate(agents):
        found = [find_row(summary, panel, agent, metric) for panel in panels]
        at = np.arange(len(panels)) + (place - (len(agents) - 1) / 2) * width
        means = np.array([row["mean"] for row in found])
        errors = np.array(
            [[r["mean"] - r["low"], r["high"] - r["mean"]] for r in found]
        ).T
        ax.bar(
            at,
            means,
            width * 0.92,
            yerr=np.maximum(errors, 0),
            color=styles[agent]["color"],
            label=label_of(agent),
            error_kw={"linewidth": 1},
        )
        flat = at[means == 0]  # bars that nobody would see
        if flat.size and yscale == "linear":  # nothing unclipped at -inf, or of no size
            ax.plot(flat, 0 * flat, "o", color=styles[agent]["color"], clip_on=False)
        for x, row in zip(at, found, strict=True):
            if row["published"] is not None:
                ax.plot(x, row["published"], "D", mfc="white", mec="black", ms=5)
                published = True
    ax.set_xticks(range(len(panels)), list(panels.values()))
    ax.set_title(title, loc="left", fontsize=10)
    ax.set_ylabel(ylabel)
    if published:
        ax.plot([], [], "D", mfc="white", mec="black", ms=5, label="published")
    ax.set_yscale(yscale)
    beside(ax)
