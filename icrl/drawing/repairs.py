"""What statements of a theorem do as they stand, beside what repairs them.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw.
"""

from collections.abc import Mapping
from typing import Any

GADGETS = {"rises": ("#CC79A7", "what rises"), "tournament": ("#0072B2", "tournament")}
BONUSES = {
    "ucb_vi": {"color": "#0072B2", "label": "UCB-VI, less bonus"},
    "ucb_vi_theorem": {"color": "#CC79A7", "label": "UCB-VI, the theorem's"},
}


def draw_maximum(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Draws the share of vectors whose largest value each gadget finds.

    Args:
        ax: where.
        summary: is not read.
        arrays: has `maximum/sizes`, `maximum/expected` of the published gadget, and
            `maximum/<gadget>/right` [sizes, (mean, low, high)].
    """
    from icrl.drawing import figures

    del summary
    sizes = arrays["maximum/sizes"]
    for name, (color, label) in GADGETS.items():
        mean, low, high = arrays[f"maximum/{name}/right"].T
        errors = [mean - low, high - mean]
        ax.errorbar(sizes, mean, errors, fmt="o", color=color, label=label)
    expected = arrays["maximum/expected"]
    label = "$2^{n-1} / n!$: rise, then fall"
    ax.plot(sizes, expected, ":", color="black", linewidth=1, label=label)
    ax.set(xlabel="values n, in random order", ylabel="share right", ylim=(-0.03, 1.05))
    ax.set_xticks(sizes)
    figures.beside(ax)


def draw_spread(ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Draws how far apart action probabilities are in each episode.

    Args:
        ax: where.
        summary: is not read.
        arrays: has `spread/steps`, `spread/<agent>/mean`, and `spread/until`, for how
            many episodes the theorem's bonus must play uniformly.
    """
    from icrl.drawing import figures

    del summary
    episodes = arrays["spread/steps"]
    for name, style in BONUSES.items():
        ax.plot(episodes, arrays[f"spread/{name}/mean"], **style)
    until = float(arrays["spread/until"])
    label = f"4 ln(S A T / δ) = {until:.0f}"
    ax.axvline(until, color="black", linestyle=":", linewidth=1, label=label)
    ax.set(xlabel="episodes", ylabel="largest less least action probability")
    ax.set(xscale="log", ylim=(-0.03, 1.05))
    figures.beside(ax)
