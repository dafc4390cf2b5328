"""The loss of a model over its context, beside the least that is possible."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from icrl.drawing.figures import beside, label_of, styles_of
from icrl.drawing.styles import STYLE


def draw_loss(
    ax: Axes,
    arrays: Mapping[str, np.ndarray],
    panel: str,
    *,
    title: str,
    agent: str = "dpt",
) -> None:
    """Draws the loss after every prefix and the least that is possible.

    Args:
        ax: where.
        arrays: a run's `figure.npz`.
        panel: the panel's name in it, as `numbers.of_losses` wrote it.
        title: above the panel.
        agent: whose loss it is.
    """
    steps = arrays[f"{panel}/steps"]
    lines = {
        "loss": (label_of(agent), styles_of([agent])[agent]),
        "loss_floor": ("least possible", STYLE["exact_posterior_sampling"]),
    }
    for metric, (label, style) in lines.items():
        mean = arrays[f"{panel}/{metric}/mean"]
        name = f"{label}  mean {mean.mean():.3f}"
        ax.plot(steps, mean, **{"linewidth": 1.6, **style}, label=name)
    ax.set_title(title, loc="left", fontsize=10)
    ax.set(xlabel="transitions known", ylabel="cross-entropy (nats)")
    ax.set_xlim(steps[0], steps[-1])
    beside(ax)
