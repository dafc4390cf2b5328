"""Cells of a table, side by side: each agent's return on a scale of two others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from icrl.drawing.figures import beside, label_of, styles_of


def draw_cells(
    ax: Axes,
    summary: Mapping[str, Any],
    agents: Sequence[str],
    *,
    panels: Mapping[str, str],
    low: str,
    high: str,
    ylabel: str,
) -> None:
    """Draws a point for each agent in each cell, with its interval.

    Args:
        ax: where.
        summary: a run's summary, whose rows have the metric "return".
        agents: in this order, where a cell has them.
        panels: names of the cells, and how each is called.
        low: the agent whose mean return is 0.
        high: the one whose is 1.
        ylabel: what the scale is.
    """
    rows = {
        (row["panel"], row["agent"]): row
        for row in summary["rows"]
        if row["metric"] == "return"
    }
    shown = [agent for agent in agents if any((p, agent) in rows for p in panels)]
    styles, published, exact = styles_of(shown), False, False
    for place, agent in enumerate(shown):
        shift = (place - (len(shown) - 1) / 2) * 0.8 / len(shown)
        for at, panel in enumerate(panels):
            if (panel, agent) not in rows:
                continue
            row, zero = rows[panel, agent], rows[panel, low]["mean"]
            unit = rows[panel, high]["mean"] - zero
            mean, *ends = ((row[key] - zero) / unit for key in ("mean", "low", "high"))
            error = np.abs(np.array(ends) - mean)[:, None]
            color = styles[agent]["color"]
            ax.errorbar(at + shift, mean, error, fmt="o", ms=4, color=color)
            if row["published"] is not None:
                place_of = (row["published"] - zero) / unit
                ax.plot(at + shift, place_of, "D", mfc="none", mec=color, ms=5)
                published = True
            if row["exact"] is not None:
                optimum = (row["exact"] - zero) / unit
                ax.hlines(optimum, at - 0.45, at + 0.45, color="black", lw=1)
                exact = True
        ax.plot([], [], "o", ms=4, color=styles[agent]["color"], label=label_of(agent))
    if published:
        ax.plot([], [], "D", mfc="none", mec="black", ms=5, label="published")
    if exact:
        ax.plot([], [], color="black", lw=1, label="Bayes optimum")
    ax.set_xticks(range(len(panels)), list(panels.values()))
    ax.set_ylabel(ylabel)
    beside(ax)
