"""A plain explorer of dark rooms: sweep the cells in rows, then stay at the goal."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs.base import Family
from icrl.algorithms.base import Algorithm
from icrl.algorithms.dark_room.goal_posterior import best_actions, require_goals_alone
from icrl.algorithms.registry import register


class Sweep(NamedTuple):
    """What a sweep has seen, in all episodes."""

    unseen: Bool[Array, " cells"]  # no step has ended there
    goal: Int[Array, ""]  # the cell that paid; -1: none did


@register("snake_sweep")
def snake_sweep(family: Family) -> Algorithm:
    """Walks to the first cell of a snake that is unseen, until one pays.

    The snake goes right along the lowest row, left along the next, and so on; its first
    cell costs a step, too, as only steps pay. From the corner, every cell of an N x N
    room is seen after N² steps. A known goal is walked to straight, and stayed at.

    Args:
        family: a dark room whose actions are not permuted.

    Raises:
        ValueError: if the family is another.
    """
    room = require_goals_alone("snake_sweep", family)
    snake = jnp.asarray(snake_order(room.size))
    best = best_actions(room)

    def action_at(state: Sweep, obs: Any) -> Int[Array, ""]:
        next_unseen = snake[jnp.argmax(state.unseen[snake])]
        return best[jnp.where(state.goal < 0, next_unseen, state.goal), obs]

    def act(key: Array, state: Sweep, obs: Any) -> tuple[Sweep, Array]:
        del key
        return state, action_at(state, obs)

    def update(state: Sweep, obs: Any, action: Array, timestep: Any) -> Sweep:
        del obs, action
        goal = jnp.where(timestep.reward > 0, timestep.obs, state.goal)
        return Sweep(unseen=state.unseen.at[timestep.obs].set(False), goal=goal)

    def probabilities(state: Sweep, obs: Any) -> Float[Array, " actions"]:
        return jax.nn.one_hot(action_at(state, obs), room.num_actions)

    return Algorithm(
        init=lambda: Sweep(
            unseen=jnp.ones(room.observation.n, bool),
            goal=jnp.full((), -1, jnp.int32),
        ),
        act=act,
        update=update,
        action_probabilities=probabilities,
    )


def snake_order(size: int) -> Int[np.ndarray, " cells"]:
    """Numbers of all cells, row by row from below, every other row backwards."""
    rows = [[x * size + y for x in range(size)] for y in range(size)]
    return np.array([row[:: -1 if y % 2 else 1] for y, row in enumerate(rows)]).ravel()
