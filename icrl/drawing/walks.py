"""Walks through a room, drawn over its picture."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Walk(NamedTuple):
    """How one of the arrays is drawn."""

    name: str  # of the array
    label: str
    color: str
    offset: float  # cells, so that walks along each other can be told apart


def draw_walks(
    ax: Any,
    arrays: Mapping[str, Any],
    walks: Sequence[Walk],
    *,
    size: int,
    goal: tuple[int, int],
) -> None:
    """Draws walks from a dot to a cross in a room whose goal is green.

    Args:
        ax: where.
        arrays: `[steps + 1, xy]` of every walk.
        walks: which, and how.
        size: cells of a side of the room.
        goal: its cell.
    """
    from envs.viewer import GridPicture, Mark, draw

    room = GridPicture(size=(size, size), agent=None, marks=[Mark(*goal, "goal")])
    ax.imshow(draw(room), extent=(-0.5, size - 0.5) * 2, interpolation="nearest")
    for walk in walks:
        x, y = (arrays[walk.name] + walk.offset).T
        color = walk.color
        ax.plot(x, y, color=color, linewidth=2.4, label=walk.label)
        ax.plot(x[0], y[0], "o", color=color, markersize=6)
        ax.plot(x[-1], y[-1], "X", color=color, markersize=9, markeredgecolor="white")
    ax.set(xticks=range(size), yticks=range(size), xlabel="x", ylabel="y")
    ax.grid(False)
    ax.legend(framealpha=0.9, edgecolor="none", fontsize=8, loc="center right")
