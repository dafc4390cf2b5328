"""What a minute of training buys, and what a dearer model.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def draw_costs(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    styles: Mapping[str, Mapping[str, str]],
) -> None:
    """Draws the loss above its floor over seconds of training, and the target.

    Args:
        ax: where.
        summary: of the run.
        arrays: of the run: `cost/target`, in nats, and of each agent `seconds` and
            `excess` [seeds, looks].
        styles: label and colour of each agent.
    """
    from icrl.drawing import figures

    del summary
    for agent in figures.names_in(arrays, "cost/", "/excess"):
        seconds, excess = (arrays[f"cost/{agent}/{x}"] for x in ("seconds", "excess"))
        for number, values in enumerate(excess):
            style = styles[agent] if number == 0 else {"color": styles[agent]["color"]}
            ax.plot(seconds[number], values, marker="o", markersize=3, **style)
    target = float(arrays["cost/target"])
    ax.axhline(target, color="0.6", linewidth=1, label=f"target, {target:g} nats")
    ax.set(xscale="log", yscale="log", xlabel="seconds of training")
    ax.set_ylabel("loss above the least possible (nats)")
    figures.order_legend(ax)


def draw_by_cost(
    ax: Any,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    panels: tuple[str, str],
    agents: Sequence[str],
    metric: str,
) -> None:
    """Draws a point for each model: what it loses, over the cost of one decision.

    Args:
        ax: where.
        summary: has the rows.
        arrays: is not read.
        panels: of the metric's rows, and of the rows `multiply_adds`.
        agents: in the legend's order.
        metric: what is lost, in reward units.
    """
    from icrl.drawing import figures

    del arrays
    there = {row["agent"] for row in summary["rows"] if row["panel"] == panels[1]}
    shown = [agent for agent in agents if agent in there]
    for agent, style in figures.styles_of(shown).items():
        row = figures.find_row(summary, panels[0], agent, metric)
        cost = figures.find_row(summary, panels[1], agent, "multiply_adds")["mean"]
        error = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
        label, color = figures.label_of(agent), style["color"]
        ax.errorbar(cost, row["mean"], error, fmt="o", color=color, label=label)
    ax.axhline(0, color="0.6", linewidth=1)
    ax.set(xlabel="multiply-adds of a decision", ylabel="regret above the target")
    figures.beside(ax)
