"""The house style: curves with bands, named at their ends, published values as marks.

Everything here draws saved numbers and computes none.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from icrl.drawing.styles import LABELS, SPARE_COLORS, STYLE

Styles = Mapping[str, Mapping[str, Any]]  # agent -> arguments of a line, and `label`
LETTERS_PER_INCH = 15  # of the line below a figure, in 8 points
LARGEST_BAND = 0.35  # of what the means of a panel span
Marks = Mapping[str, Mapping[int, float]]  # agent -> step -> published value


def new_figure(
    columns: int, rows: int = 1, *, width: float = 4.6, height: float = 3.6
) -> tuple[Figure, np.ndarray]:
    """An empty figure and its axes [rows, columns], in the house style."""
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def finish(
    figure: Figure, axes: Sequence[Axes], num_panels: int, summary: Mapping[str, Any]
) -> None:
    """Letters the panels, hides empty axes, and says what bands and bars are.

    Args:
        figure: whose panels are drawn.
        axes: in reading order.
        num_panels: the axes that hold something.
        summary: of the run.
    """
    for place, ax in enumerate(axes):
        if place >= num_panels:
            ax.set_axis_off()
        elif num_panels > 1:
            title = ax.get_title(loc="left")
            ax.set_title(f"({'abcdefghijkl'[place]})  {title}", loc="left", fontsize=10)
    letters = int(figure.get_figwidth() * LETTERS_PER_INCH)
    units = textwrap.fill(units_of(summary), letters)
    figure.supxlabel(units, fontsize=8, color="0.35")


def units_of(summary: Mapping[str, Any]) -> str:
    """What the intervals of a summary are over, in one line."""
    rows = summary["rows"]
    seeds = sorted({row["seeds"] for row in rows if row["seeds"]})
    tasks = sorted({row["tasks"] for row in rows if row["tasks"]})
    kind = "bootstrap " if summary.get("interval") == "bootstrap" else ""
    said = f"bands and error bars: 95 % {kind}intervals"
    if all(row["low"] == row["high"] for row in rows):
        said = "means"  # or what else was measured once
    if tasks:
        said += f" over {_counted(tasks, 'task')}"
    played = {row.get("trajectories", row["tasks"]) for row in rows}
    if played - {row["tasks"] for row in rows}:
        said += f" ({_counted(sorted(played - {0}), 'trajectory')})"
    if seeds:
        given = ", given this one" if seeds == [1] else ""
        said += f" and {_counted(seeds, 'training seed')}{given}"
    if max(seeds, default=0) > 1 and not kind:
        said += "; thin lines: single seeds, where a band would hide the panel"
    labels = sorted(set(summary.get("labels", {}).values()) - {""})
    return f"{said}; labels: {', '.join(labels)}" if labels else said


def _counted(numbers: Sequence[int], noun: str) -> str:
    several = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    said = " or ".join(f"{number:,}" for number in numbers)
    return f"{said} {noun if list(numbers) == [1] else several}"


def draw_curves(
    ax: Axes,
    arrays: Mapping[str, np.ndarray],
    panel: str,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    marks: Marks | None = None,
    agents: Sequence[str] | None = None,
    styles: Styles | None = None,
    yscale: str = "linear",
    bottom: float | None = None,
    top: float | None = None,
) -> None:
    """Draws every agent of a panel: mean, 95 % band, and its name with its last value.

    A band that would hide the panel is drawn as thin lines instead, one for each
    training seed, where the run has saved them.

    Args:
        ax: where.
        arrays: a run's `figure.npz`.
        panel: the panel's name in it.
        title: above the panel.
        xlabel: name and unit of the horizontal axis.
        ylabel: name and unit of the vertical axis.
        marks: published values, drawn as open diamonds in the agent's colour.
        agents: which, and in which order; all if None.
        styles: of agents that the house style does not know, as matplotlib has them.
        yscale: "linear" or "log".
        bottom: of the vertical axis; what the curves need if None.
        top: likewise.
    """
    steps = arrays[f"{panel}/steps"]
    agents = panel_agents(arrays, panel) if agents is None else agents
    agents = [agent for agent in agents if f"{panel}/{agent}/mean" in arrays]
    means = {agent: arrays[f"{panel}/{agent}/mean"] for agent in agents}
    extent = np.ptp(np.concatenate(list(means.values()))) if means else 0.0
    for agent, style in styles_of(agents, styles).items():
        mean = means[agent]
        label = f"{label_of(agent, style)}  {mean[-1]:#.3g}"
        drawn = {k: v for k, v in style.items() if k != "label"}
        (line,) = ax.plot(steps, mean, **{"linewidth": 1.6, **drawn}, label=label)
        low, high = arrays[f"{panel}/{agent}/low"], arrays[f"{panel}/{agent}/high"]
        by_seed = arrays.get(f"{panel}/{agent}/by_seed")
        if by_seed is not None and np.median(high - low) > LARGEST_BAND * extent:
            for one in by_seed:
                ax.plot(steps, one, color=line.get_color(), linewidth=0.6, alpha=0.6)
        else:
            color = line.get_color()
            ax.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
    ax.set_title(title, loc="left", fontsize=10)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(steps[0], steps[-1]), yscale=yscale)
    ax.set_ylim(bottom, top)
    draw_marks(ax, marks or {}, limit=float(steps[-1]))
    order_legend(ax)


def styles_of(
    agents: Sequence[str], styles: Styles | None = None
) -> dict[str, dict[str, Any]]:
    """The style of each agent: as given, else the house's, else one of its own.

    Colours of agents that the house does not know are none of its own.
    """
    spare = iter(SPARE_COLORS * len(agents))
    found = {}
    for agent in agents:
        style = {**STYLE.get(agent, {}), **(styles or {}).get(agent, {})}
        found[agent] = style if "color" in style else {"color": next(spare), **style}
    return found


def label_of(agent: str, style: Mapping[str, Any] | None = None) -> str:
    """How an agent is called in a figure: as its style says, or as the house does."""
    return str((style or {}).get("label", LABELS.get(agent, agent)))


def draw_marks(ax: Axes, marks: Marks, limit: float) -> None:
    """Draws published values up to step `limit`, and says so once in the legend.

    The curves decide what the axis shows: a value above it is an arrow with a number.
    """
    bottom, top = ax.get_ylim()
    drawn = False
    for agent, points in marks.items():
        color = STYLE.get(agent, {}).get("color", "black")
        inside = {step: value for step, value in points.items() if step <= limit}
        shown = {step: value for step, value in inside.items() if value <= top}
        style = {"mfc": "none", "mec": color, "ms": 5, "clip_on": False, "zorder": 6}
        if shown:
            ax.plot(list(shown), list(shown.values()), "D", **style)
        for step in sorted(inside.keys() - shown.keys())[-1:]:
            arrow = ax.annotate(
                f"{inside[step]:g}",
                xy=(step, 1.0),
                xytext=(-14, -14),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                arrowprops={"arrowstyle": "->", "color": color},
                color=color,
                fontsize=8,
                ha="right",
            )
            arrow.set_in_layout(False)  # the layout collapses with arrows in it
        drawn = drawn or bool(inside)
    ax.set_ylim(bottom, top)
    if drawn:
        ax.plot([], [], "D", mfc="none", mec="black", ms=5, label="published")


def order_legend(ax: Axes) -> None:
    """Lists the curves beside the axes, as they stand at its right edge."""
    handles, labels = ax.get_legend_handles_labels()

    def height(index: int) -> float:
        line = handles[index]
        values = np.asarray(line.get_ydata() if isinstance(line, Line2D) else [], float)
        return -values[-1] if values.size else np.inf

    order = sorted(range(len(handles)), key=height)
    beside(ax, [handles[i] for i in order], [labels[i] for i in order])


def beside(ax: Axes, handles: Any = None, labels: Any = None) -> None:
    """Puts the legend to the right of the axes, where it hides nothing."""
    if handles is None:
        handles, labels = ax.get_legend_handles_labels()
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0}
    ax.legend(handles, labels, frameon=False, fontsize=8, **place)


def find_row(
    summary: Mapping[str, Any], panel: str, agent: str, metric: str
) -> dict[str, Any]:
    """The one row of a summary with these names.

    Raises:
        KeyError: if there is none.
    """
    for row in summary["rows"]:
        if (row["panel"], row["agent"], row["metric"]) == (panel, agent, metric):
            return row
    raise KeyError(f"no row {panel}/{agent}/{metric}")


def panel_agents(arrays: Mapping[str, np.ndarray], panel: str) -> list[str]:
    """The agents of a panel, in the order they were saved."""
    return names_in(arrays, f"{panel}/", "/mean")


def names_in(arrays: Mapping[str, np.ndarray], start: str, end: str) -> list[str]:
    """What stands between `start` and `end` in the arrays' names, as saved."""
    return [
        name[len(start) : -len(end)]
        for name in arrays
        if name.startswith(start) and name.endswith(end)
    ]


def draw_probabilities(
    ax: Axes, probabilities: np.ndarray, target: np.ndarray, names: tuple[str, str]
) -> None:
    """Draws the probability of every action along one history, twice.

    Args:
        ax: where.
        probabilities: [decisions, actions] of a model, drawn as lines.
        target: the same of what it imitates, drawn dashed in the same colours.
        names: of the two agents.
    """
    for action in range(probabilities.shape[1]):
        color = f"C{action % 10}"
        ax.plot(probabilities[:, action], color=color, linewidth=1.6)
        ax.plot(target[:, action], color=color, linewidth=1, linestyle=(0, (3, 2)))
    for name, style in zip(names, ("-", (0, (3, 2))), strict=True):
        ax.plot([], [], color="black", linestyle=style, label=LABELS.get(name, name))
    ax.set(xlabel="transitions known", ylabel="probability", ylim=(0, 1.02))
    ax.set_xlim(0, probabilities.shape[0] - 1)
    beside(ax)
