"""Random searches: what many settings of one variant come to.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw.
"""

from collections.abc import Mapping
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
        arrays: has `<panel>_settings/<name>/returns`, one for each.
        panel: of the search.
    """
    import numpy as np

    from icrl.drawing import figures

    names = figures.names_in(arrays, f"{panel}_settings/", "/returns")
    for name, style in figures.styles_of(names).items():
        values = np.sort(arrays[f"{panel}_settings/{name}/returns"])[::-1]
        label = figures.label_of(name)
        line = {"marker": "o", "markersize": 3, "linewidth": 1.4, **style}
        ax.plot(range(1, len(values) + 1), values, **line, label=label)
    uniform = figures.find_row(summary, panel, "uniform", "return")["mean"]
    label = figures.label_of("uniform")
    ax.axhline(uniform, color="0.6", linestyle=":", label=label)
    ax.set(xlabel="settings, best first", ylabel="return of a trial")
    figures.beside(ax)


def draw_depths(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any], *, panel: str
) -> None:
    """Draws the return of each setting at every depth, and a line through their means.

    Args:
        ax: where.
        summary: is not read.
        arrays: has `<panel>/depths` and `<panel>/<name>/returns` [depths, settings].
        panel: of both.
    """
    from icrl.drawing import figures

    del summary
    depths = arrays[f"{panel}/depths"]
    names = figures.names_in(arrays, f"{panel}/", "/returns")
    for name, style in figures.styles_of(names).items():
        table = arrays[f"{panel}/{name}/returns"]
        color, label = style["color"], figures.label_of(name)
        ax.plot(depths, table, "o", color=color, markersize=3, alpha=0.6)
        ax.plot(depths, table.mean(1), color=color, label=label)
    ax.set(xlabel="blocks", ylabel="return of a trial", xticks=depths)
    figures.beside(ax)
