"""Demonstrations in dark rooms: walks by policies that know the goal."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from envs import grid
from envs.base import Family
from envs.dark_room import DarkRoomFamily
from envs.splits import FiniteTasks
from icrl.algorithms.base import require_family
from icrl.algorithms.dark_room.goal_posterior import best_actions
from icrl.pretraining.collection import demonstration, in_either_order
from icrl.pretraining.examples import Collect

RIGHT, UP, STAY = 0, 2, 4  # moves


def straight_walk(family: Family) -> Collect:
    """An episode from the start to the goal: along x, along y, then it stays.

    Source: the expert of the released code of Lee et al. 2023, arXiv 2306.14892.
    """
    require_family("straight_walk", family, DarkRoomFamily)
    assert isinstance(family, DarkRoomFamily)  # for type checkers
    best = best_actions(family)
    start = grid.cell_at(jnp.asarray(family.start), family.size)

    def walk(task: Any, obs: Any) -> Any:
        return best[grid.cell_at(task.goal, family.size), obs]

    return demonstration(lambda key, task: start, walk)


def along_and_up(size: Any, row: int | None = None) -> dict[str, Collect]:
    """Walks that end at the goal only if they are put together, by name.

    `along` goes right from the first column, `up` goes up to the goal in its column and
    stays there; `both` holds the two in either order. Source: Lee et al. 2023, arXiv
    2306.14892, Figure 5a.

    Args:
        size: of the rooms.
        row: that `along` walks in; any if None.
    """

    def action(task: Any, move: Any) -> Any:
        return jnp.argmax(task.action_order == move)

    def first_column(key: Any, task: Any) -> Any:
        y = jax.random.randint(key, (), 0, size) if row is None else jnp.asarray(row)
        return grid.cell_at(jnp.stack([jnp.zeros_like(y), y]), size)

    def below_the_goal(key: Any, task: Any) -> Any:
        del key
        return grid.cell_at(task.goal.at[1].set(0), size)

    def up_to_the_goal(task: Any, obs: Any) -> Any:
        there = obs == grid.cell_at(task.goal, size)
        return action(task, jnp.where(there, STAY, UP))

    along = demonstration(first_column, lambda task, obs: action(task, RIGHT))
    up = demonstration(below_the_goal, up_to_the_goal)
    return {"both": in_either_order(along, up), "along": along, "up": up}


def goals_off_the_walls(tasks: FiniteTasks) -> FiniteTasks:
    """Those tasks whose goal needs both a step to the right and one up."""
    turns = (tasks.tasks.goal > 0).all(-1)
    return FiniteTasks(jax.tree.map(lambda leaf: leaf[turns], tasks.tasks))


def without_goal(room: Any) -> Any:
    """The same room, where nothing pays: its goal lies outside."""
    return dataclasses.replace(room, goal=jnp.full_like(room.goal, -1))
