"""Where models leave their target, and where the coverage of their data says so.

Functions for `panels.Drawing`: they take saved numbers, and import matplotlib only when
they draw. The arrays are those of `diagnostics.coverage`.
"""

from collections.abc import Mapping
from typing import Any

from icrl.drawing.sweeps import draw_sizes, name_sizes


def draw_departures(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Draws the measured steps for each number of trajectories, and the predicted."""
    from icrl.drawing import figures

    del summary
    numbers, steps = arrays["departure/num_examples"], arrays["departure/measured"]
    draw_sizes(ax, numbers, steps, "measured")
    ax.plot(numbers, arrays["departure/predicted"], "k:", label="KL_t = ln n")
    ax.set(xlabel="trajectories n", ylabel="step (pulls)")
    ax.set_ylim(bottom=0.0)
    name_sizes(ax, numbers)
    figures.beside(ax)


def draw_ratios(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any], *, model: str
) -> None:
    """Draws the KL of the target's histories from the data of each model.

    Args:
        ax: where.
        summary: of the run.
        arrays: of the run.
        model: the one that should leave where its KL passes ln n, in words.
    """
    from icrl.drawing import figures, styles

    del summary
    steps = arrays["ratio/steps"]
    for name in figures.names_in(arrays, "ratio/", "/kl"):
        style, label = styles.STYLE.get(name, {}), styles.LABELS.get(name, name)
        ax.plot(steps, arrays[f"ratio/{name}/kl"], **style, label=label)
    log_n = float(arrays["departure/log_num_examples"])
    ax.axhline(log_n, color="black", linewidth=1, linestyle=":")
    ax.text(steps[-1], log_n, "ln n", ha="right", va="bottom", fontsize=8)
    draw_step(ax, arrays["departure/predicted"], f"{model} should leave at")
    ax.set(xlabel="pulls", ylabel="KL of the histories (nats)", ylim=(0, None))
    figures.beside(ax)


def draw_departure(
    ax: Any, summary: Mapping[str, Any], arrays: Mapping[str, Any], *, model: str
) -> None:
    """Draws the step at which a model, named in words, leaves its target."""
    del summary
    draw_step(ax, arrays["departure/measured"], f"{model} leaves at")


def draw_step(ax: Any, step: Any, text: str) -> None:
    """Draws a vertical line that says what happens at a step; none if it never does."""
    if step != step:  # NaN
        return
    ax.axvline(step, color="black", linewidth=1, linestyle=":")
    place = ax.get_xaxis_transform()
    ax.text(step, 0.02, f" {text} {int(step)}", fontsize=8, transform=place)
