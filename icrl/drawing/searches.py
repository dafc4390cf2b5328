"""Random searches: what many settings of one variant come to.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def draw_ranked(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    panel: str,
) -> None:
    """Draws the returns of all settings, best first, above that of uniform play.

    Args:
        ax: where.
        summary: has the row of the agent "uniform".
        arrays: has `<panel>_ranked/<name>/returns`, one for each setting.
        panel: of the search.
    """
    from icrl.drawing import figures

    names = figures.names_in(arrays, f"{panel}_ranked/", "/returns")
    for name, style in figures.styles_of(names).items():
        values = arrays[f"{panel}_ranked/{name}/returns"]
        label = figures.label_of(name)
        line = {"marker": "o", "markersize": 3, "linewidth": 1.4, **style}
        ax.plot(range(1, len(values) + 1), values, **line, label=label)
    uniform = figures.find_row(summary, panel, "uniform", "return")["mean"]
    label = figures.label_of("uniform")
    ax.axhline(uniform, color="0.6", linestyle=":", label=label)
    ax.set(xlabel="settings, best first", ylabel="return of a trial")
    figures.beside(ax)


def draw_depths(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    start: str,
    names: Sequence[str],
) -> None:
    """Draws the return of each setting at every depth, and a line through their means.

    Args:
        ax: where.
        summary: is not read.
        arrays: has `<start><depth>_ranked/<name>/returns`.
        start: of the panels' names.
        names: of the variants.
    """
    import numpy as np

    from icrl.drawing import figures

    del summary
    found = figures.names_in(arrays, start, f"_ranked/{names[0]}/returns")
    depths = sorted(int(depth) for depth in found)
    for name, style in figures.styles_of(names).items():
        values = [arrays[f"{start}{depth}_ranked/{name}/returns"] for depth in depths]
        color, label = style["color"], figures.label_of(name)
        for depth, returns in zip(depths, values, strict=True):
            ax.plot([depth] * len(returns), returns, "o", color=color, ms=3, alpha=0.6)
        means = [np.nan_to_num(returns).mean() for returns in values]
        ax.plot(depths, means, color=color, label=label)
    ax.set(xlabel="blocks", ylabel="return of a trial", xticks=depths)
    figures.beside(ax)
