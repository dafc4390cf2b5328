"""Pictures of grid tasks, as arrays of pixels, in NumPy alone.

A task that has a method `picture(state) -> GridPicture` can be seen: here as an array,
in `icrl/drawing/viewer.py` as a drawing or an animation, and in Gymnasium by
`render_mode="rgb_array"`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

COLOURS = {  # what a mark may be, as red, green, blue
    "goal": (0, 158, 115),
    "key": (240, 200, 60),
    "door": (160, 100, 50),
    "start": (215, 215, 225),
    "hole": (60, 70, 90),
    "wall": (20, 20, 20),
}
FLOOR, LINE, AGENT = (250, 250, 250), (200, 200, 200), (213, 94, 0)
RADIUS = 0.32  # of the agent, in cells


class Mark(NamedTuple):
    """A cell that is something: a key of `COLOURS`."""

    x: int
    y: int
    kind: str


class GridPicture(NamedTuple):
    """A grid to be drawn. Cell (0, 0) is the lower left one; y goes upwards."""

    size: tuple[int, int]  # cells: width, height
    agent: tuple[int, int] | None  # (x, y); None: not drawn
    marks: Sequence[Mark]  # the last one wins a cell


@runtime_checkable
class HasPicture(Protocol):
    """A task that can be seen."""

    def picture(self, state: Any) -> GridPicture:
        """What the task looks like in a state; called in plain Python."""
        ...


def picture_of(task: Any, state: Any) -> GridPicture:
    """The picture of a task in a state.

    Raises:
        ValueError: if the task has none.
    """
    if not isinstance(task, HasPicture):
        kind = type(task).__name__
        raise ValueError(f"a {kind} has no picture: it has no method picture(state)")
    return task.picture(state)


def render(
    task: Any, state: Any, *, cell_pixels: int = 24
) -> UInt8[np.ndarray, "height width 3"]:
    """The task in a state, as an image.

    Args:
        task: one task (not a batch) with a `picture`.
        state: its state.
        cell_pixels: of a cell's side.

    Raises:
        ValueError: if the task has no picture, or `cell_pixels` is below 4.
    """
    return draw(picture_of(task, state), cell_pixels=cell_pixels)


def draw(
    picture: GridPicture, *, cell_pixels: int = 24
) -> UInt8[np.ndarray, "height width 3"]:
    """A picture as an image: red, green and blue, the first row on top.

    Raises:
        ValueError: if a mark is of no known kind, or `cell_pixels` is below 4.
    """
    if cell_pixels < 4:
        raise ValueError(f"cell_pixels must be at least 4, got {cell_pixels}")
    width, height = picture.size
    cells = np.full((height, width, 3), FLOOR, np.uint8)  # [y, x], y upwards
    for x, y, kind in picture.marks:
        if kind not in COLOURS:
            known = ", ".join(COLOURS)
            raise ValueError(f"a mark must be one of {known}, got {kind!r}")
        cells[y, x] = COLOURS[kind]
    image = cells.repeat(cell_pixels, 0).repeat(cell_pixels, 1)
    image[::cell_pixels] = image[:, ::cell_pixels] = LINE
    image[-1] = image[:, -1] = LINE
    if picture.agent is not None:
        x, y = (int(coordinate) * cell_pixels for coordinate in picture.agent)
        cell = image[y : y + cell_pixels, x : x + cell_pixels]
        cell[_disc(cell_pixels)] = AGENT
    return np.ascontiguousarray(image[::-1])


def _disc(pixels: int) -> np.ndarray:
    offset = (np.arange(pixels) + 0.5) / pixels - 0.5  # from the middle, in cells
    return offset[:, None] ** 2 + offset[None] ** 2 <= RADIUS**2
