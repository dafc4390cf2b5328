"""Square grids that an agent walks: cells, moves, walls that stop it.

A position is (x, y), with y upwards; its cell's number is x * size + y. Dark rooms
(`envs/dark_room.py`, `envs/dark_key_to_door.py`) share this.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from envs.base import Family, Key, State, TimeStep, require
from envs.observation import Discrete

MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0, 0))  # as DPT's code counts actions
NUM_ACTIONS = len(MOVES)
STAY = MOVES.index((0, 0))


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkGrid:
    """A task that shows the agent's cell alone, and that only its start can draw.

    No episode ends before its horizon. A state has a `step` and a `position`; what a
    step does to it, and what it is worth, each task says.
    """

    size: int = dataclasses.field(metadata={"static": True})
    horizon: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Right (+x), left, up (+y), down and stay."""
        return NUM_ACTIONS

    def step(
        self, key: Key, state: State, action: Int[Array, ""]
    ) -> tuple[State, TimeStep]:
        """Moves, and pays by where the step ends."""
        del key  # deterministic
        state, reward = self._next(state, action)
        return state, TimeStep(
            obs=cell_at(state.position, self.size),
            reward=reward,
            terminated=jnp.zeros((), bool),
            truncated=state.step >= self.horizon,
        )

    def gaps(self, state: State) -> Float[Array, " actions"]:
        """V* - Q*, by one step and what it leads to; zeros after the last step."""
        after, rewards = jax.vmap(self._next, (None, 0))(state, jnp.arange(NUM_ACTIONS))
        q_values = rewards + jax.vmap(self._value)(after)
        return jnp.where(state.step < self.horizon, q_values.max() - q_values, 0.0)

    def _next(
        self, state: State, action: Int[Array, ""]
    ) -> tuple[State, Float[Array, ""]]:
        """The state after the action, and its reward."""
        raise NotImplementedError

    def _value(self, state: State) -> Float[Array, ""]:
        """V*: most reward from the state to the end of the episode."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkGridFamily(Family):
    """What families of dark grids have in common: sides, actions and what is seen.

    Attributes:
        size: cells of a side.
        numbers: whether a model sees x and y as numbers, too; tasks are the same.
    """

    size: int
    numbers: bool = dataclasses.field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.size >= 2, "size must be at least 2", self.size)

    @property
    def num_actions(self) -> int:
        """Right, left, up, down and stay."""
        return NUM_ACTIONS

    @property
    def observation(self) -> Discrete:
        """Cells: one-hot x beside one-hot y, and both as numbers if asked for.

        The numbers lie in [-1, 1]. DPT sees them alone, as they are. One-hot parts are
        told apart faster; numbers say which of two is larger where no training task
        compares them.
        """
        one_hot = coordinate_code(self.size)
        if not self.numbers:
            return Discrete(self.size**2, one_hot)
        numbers = 2 * all_positions(self.size) / (self.size - 1) - 1
        features = np.concatenate([one_hot, numbers.astype(np.float32)], axis=-1)
        return Discrete(self.size**2, features)
