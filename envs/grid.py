"""Square grids that an agent walks: cells, moves, walls that stop it.

A position is (x, y), with y upwards; its cell's number is x * size + y. Dark rooms
(`envs/dark_room.py`, `envs/dark_key_to_door.py`) share this.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from envs.base import require

MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0, 0))  # as DPT's code counts actions


def walk(
    position: Int[Array, "2"], move: Int[Array, "*moves"], size: int
) -> Int[Array, "*moves 2"]:
    """Where each move leads to from a position; a wall stops it."""
    step = jnp.asarray(MOVES, jnp.int32)[move]
    return jnp.clip(jnp.broadcast_to(position, step.shape) + step, 0, size - 1)


def cell_at(position: Int[Array, "*batch 2"], size: int) -> Int[Array, "*batch"]:
    """The number of a position's cell."""
    return position[..., 0] * size + position[..., 1]


def position_of(cell: Int[Array, "*batch"], size: int) -> Int[Array, "*batch 2"]:
    """The position of the cell with this number."""
    return jnp.stack([cell // size, cell % size], axis=-1)


def all_positions(size: int) -> Int[np.ndarray, "cells 2"]:
    """The positions of all cells, by number."""
    return np.stack(np.divmod(np.arange(size**2), size), axis=-1)


def distance(
    here: Int[Array, "*batch 2"], there: Int[Array, "*batch 2"]
) -> Int[Array, "*batch"]:
    """Moves from one position to another: Manhattan distance."""
    return abs(here - there).sum(-1)


def coordinate_code(size: int) -> Float[np.ndarray, "cells features"]:
    """One-hot x and one-hot y of every cell, side by side."""
    one_hot = np.eye(size, dtype=np.float32)
    x, y = all_positions(size).T
    return np.concatenate([one_hot[x], one_hot[y]], axis=-1)


def as_cell(what: str, position: Any, size: int) -> Int[Array, "2"]:
    """The position as an array.

    Raises:
        ValueError: if it lies outside the grid; a traced one is not checked.
    """
    if not isinstance(position, Tracer):
        x, y = (int(coordinate) for coordinate in position)
        inside = 0 <= x < size and 0 <= y < size
        require(inside, f"{what} must lie in the {size}x{size} grid", (x, y))
    return jnp.asarray(position, jnp.int32)


def random_cell(key: jax.Array, size: int) -> Int[Array, "2"]:
    """A uniform position."""
    return jax.random.randint(key, (2,), 0, size)
