"""What a minute of training buys: the loss over seconds.

A function for `panels.Drawing`: it takes saved numbers, and imports matplotlib only
when it draws.
"""

from collections.abc import Mapping
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
