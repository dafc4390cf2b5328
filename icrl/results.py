"""What a run leaves behind: the numbers of its scores by panel, and their figure."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from icrl.panels import Panel


def finish(run: Any, panels: Sequence[Panel], scores: Any) -> None:
    """Writes what a run leaves behind, from its scores by panel.

    Raises:
        ValueError: if these are no scores by panel, or a panel would not be drawn.
    """
    from icrl.evaluation import numbers

    if not isinstance(scores, Mapping):
        raise ValueError(f"`run` must return scores by panel, got {scores!r}")
    known = {panel.name: panel for panel in reversed(panels)}  # the first of a name
    if scores.keys() - known.keys():
        raise ValueError(
            f"scores need a panel each, got {sorted(scores.keys() - known.keys())} "
            f"beside {sorted(known)}"
        )
    found = numbers.join(
        _played(run, known[name], table)
        if callable(table)
        else _numbers(known[name], table)
        for name, table in scores.items()
    )
    _require_drawn(panels, scores, found)
    shared = ["one data set"] * run.shared_data  # what the intervals leave out
    for row in found.rows:
        if row["seeds"]:
            row["given"] = ["one training seed"] * (row["seeds"] == 1) + shared
    run.finish(found.rows, found.arrays, found.finals)


def _numbers(panel: Panel, scores: Any) -> Any:
    """Returns the `Numbers` of a panel's scores, which may be such already."""
    from icrl.evaluation.numbers import Numbers

    return scores if isinstance(scores, Numbers) else panel.numbers(scores)


def _played(run: Any, panel: Panel, play: Callable[[], Any]) -> Any:
    """Returns the `Numbers` of a panel: those of before, or what `play` returns."""
    from icrl.evaluation.numbers import Numbers
    from icrl.runs import kept

    made_for = {"experiment": run.experiment.name, "seeds": list(run.config.seeds)}
    found = kept.kept(run.folder, panel.name, made_for)
    if found is not None:
        print(f"{panel.name}: played before", file=sys.stderr, flush=True)
        return Numbers(*found)
    print(f"{panel.name}: playing", file=sys.stderr, flush=True)
    numbers = _numbers(panel, play())
    parts = (numbers.rows, numbers.arrays, numbers.finals)
    kept.keep(run.folder, panel.name, made_for, parts)
    return numbers


def _require_drawn(panels: Sequence[Panel], scores: Any, found: Any) -> None:
    """Raises `ValueError` if numbers have a panel with a title, and none draws them."""
    for name in scores:
        shown = [panel for panel in panels if panel.name == name and panel.title]
        if shown and not any(p.has({"rows": found.rows}, found.arrays) for p in shown):
            start = getattr(shown[0], "needs", "") or f"{name}/"
            raise ValueError(
                f"arrays of panel {name!r} must begin with {start!r}, "
                f"got {sorted(found.arrays)}"
            )


def draw(
    panels: Sequence[Panel],
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    columns: int,
    size: tuple[float, float],
) -> Any:
    """Returns the figure of the panels that a run has numbers for."""
    from icrl.drawing import figures

    shown = [p for p in panels if p.title and p.has(summary, arrays)]
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    drawn, axes = figures.new_figure(columns, rows, width=size[0], height=size[1])
    for ax, panel in zip(axes.flat, shown, strict=False):
        for draws in (panel.before, panel.draw, panel.after):
            if draws is not None:
                draws(ax, summary, arrays)
    figures.finish(drawn, list(axes.flat), len(shown), summary)
    return drawn
