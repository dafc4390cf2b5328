"""What constructions come to at each depth, and what theory says of it.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw.
"""

from collections.abc import Mapping
from typing import Any

SCHEMES = {
    "newton_schulz": ("#0072B2", "Newton–Schulz"),
    "chebyshev": ("#009E73", "Chebyshev"),
    "accelerated": ("#D55E00", "accelerated"),
    "accelerated_paper": ("#CC79A7", "accelerated, the paper's constants"),
    "gradient": ("0.5", "gradient descent"),
}


def draw_errors(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    measure: str,
    ylabel: str,
    slopes: bool = False,
) -> None:
    """Draws an error of each scheme by its layers, and the slopes that are predicted.

    Args:
        ax: where.
        summary: has the rows `slope`.
        arrays: has `errors/<scheme>/depths` and `errors/<scheme>/<measure>`.
        measure: what is drawn.
        ylabel: of the vertical axis.
        slopes: whether predictions are drawn, through the middle of each curve.
    """
    import numpy as np

    from icrl.drawing import figures

    predicted = {
        row["agent"]: row["exact"]
        for row in summary["rows"]
        if row["metric"] == "slope" and row["exact"] is not None
    }
    label = "predicted slope"
    for scheme in figures.names_in(arrays, "errors/", "/depths"):
        color, name = SCHEMES[scheme]
        depths = arrays[f"errors/{scheme}/depths"]
        errors = arrays[f"errors/{scheme}/{measure}"]
        ax.plot(depths, errors, color=color, linewidth=1.6, label=name)
        if slopes and scheme in predicted:
            middle = len(depths) // 2
            line = errors[middle] * np.exp(
                predicted[scheme] * (depths - depths[middle])
            )
            ax.plot(depths, line, ":", color="black", linewidth=1, label=label)
            label = None
    ax.set(xlabel="layers", ylabel=ylabel, yscale="log")
    figures.beside(ax)


def draw_regrets(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Draws the regret above the algorithm's by depth, with intervals.

    Args:
        ax: where.
        summary: is not read.
        arrays: has `regret/<scheme>/depths`, and `/gap` [depths, (mean, low, high)].
    """
    from matplotlib.ticker import LogLocator, ScalarFormatter

    from icrl.drawing import figures

    del summary
    schemes = figures.names_in(arrays, "regret/", "/depths")
    for place, scheme in enumerate(schemes):
        color, name = SCHEMES[scheme]
        mean, low, high = arrays[f"regret/{scheme}/gap"].T
        line = {"color": color, "marker": "o", "markersize": 4, "linewidth": 1.2}
        # side by side, where several schemes have as many layers
        beside = 1.03 ** (place - len(schemes) // 2)
        depths = arrays[f"regret/{scheme}/depths"] * beside
        ax.errorbar(depths, mean, [mean - low, high - mean], label=name, ls="", **line)
        ax.plot(depths, mean, color=color, linewidth=0.8, alpha=0.5)
    ax.axhline(0.0, color="0.6", linewidth=0.8)
    ax.set(xlabel="layers", ylabel="regret above LinUCB's (reward units)", xscale="log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()
    figures.beside(ax)


def draw_readouts(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any], *, panel: str
) -> None:
    """Draws how much of a quantity can be read off each layer of each model.

    Args:
        ax: where.
        summary: is not read.
        arrays: has `<panel>/<agent>/layers` and `/explained`.
        panel: of the arrays.
    """
    from icrl.drawing import figures

    del summary
    agents = figures.names_in(arrays, f"{panel}/", "/layers")
    for agent, style in figures.styles_of(agents).items():
        layers = arrays[f"{panel}/{agent}/layers"]
        values = arrays[f"{panel}/{agent}/explained"]
        line = {"marker": "o", "markersize": 3, "linewidth": 1.4, **style}
        label = f"{figures.label_of(agent)}, {layers[-1]} layers"
        ax.plot(layers / layers[-1], values, **line, label=label)
    ax.set(xlabel="part of the layers", ylabel="R² of a linear read-out")
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.05)
    figures.beside(ax)
