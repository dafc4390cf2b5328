"""What an ideal DPT plays in dark rooms: exact posteriors over the hidden task.

The law of an action is the posterior probability that it is the best one here, which is
what a DPT would predict that had learnt its training data perfectly.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from envs import grid
from envs.base import Family, require
from envs.dark_room import DarkRoom, DarkRoomFamily, DarkRoomState
from envs.splits import FiniteTasks
from icrl.algorithms.base import Algorithm, require_family
from icrl.algorithms.version_space import version_space

Prior = Literal["all", "train"]


def exact_goal_posterior(
    family: Family,
    *,
    episodes: int | None = None,
    in_episode: bool = True,
    goals: Prior = "all",
) -> Algorithm:
    """Posterior sampling of the goal at every step, with known moves.

    Rewards say all: a step that pays shows the goal, one that does not rules its last
    cell out.

    Args:
        family: a dark room whose actions are not permuted.
        episodes: whole past episodes that are remembered; all if None. DPT's released
            code has 1.
        in_episode: whether the steps of this episode count, too. In the released code
            they do not.
        goals: the prior is uniform over every cell, or over the training goals.

    Raises:
        ValueError: if the family is another, or an option breaks its rule.
    """
    room = require_goals_alone("exact_goal_posterior", family)
    _require_prior("goals", goals)
    num_cells = room.num_observations
    prior = np.ones(num_cells, bool)
    if goals == "train":
        trained = grid.cell_at(_train_tasks(room).goal, room.size)
        prior = np.isin(np.arange(num_cells), trained)

    def rules_out(obs: Any, action: Array, timestep: Any) -> Bool[Array, " goals"]:
        del obs, action
        is_here = jnp.arange(num_cells) == timestep.obs
        return jnp.where(timestep.reward > 0, ~is_here, is_here)

    return version_space(
        best_actions(room),
        jnp.asarray(prior),
        rules_out,
        num_actions=family.num_actions,
        episodes=episodes,
        in_episode=in_episode,
    )


def exact_permutation_posterior(
    family: Family,
    *,
    episodes: int | None = None,
    in_episode: bool = True,
    permutations: Prior = "all",
) -> Algorithm:
    """Posterior sampling of what actions mean at every step, with a known goal.

    Args:
        family: a dark room of one goal and permuted actions.
        episodes: whole past episodes that are remembered; all if None.
        in_episode: whether the steps of this episode count, too.
        permutations: the prior is uniform over all 120, or over those of training.

    Raises:
        ValueError: if the family is another, or an option breaks its rule.
    """
    require_family("exact_permutation_posterior", family, DarkRoomFamily)
    assert isinstance(family, DarkRoomFamily)  # for type checkers
    one_goal = family.permuted and len(family.goals) == 1
    rule = "the family must have one goal and permuted actions"
    require(one_goal, rule, family.name or "another")
    _require_prior("permutations", permutations)
    goal = jnp.asarray(family.goals[0])
    orders = jnp.asarray(family.all_orders())
    prior = np.ones(len(orders), bool)
    if permutations == "train":
        trained = np.asarray(_train_tasks(family).action_order)
        prior = (np.asarray(orders)[:, None] == trained).all(-1).any(-1)
    tasks = jax.vmap(family.task, (None, 0))(goal, orders)

    def rules_out(obs: Any, action: Array, timestep: Any) -> Bool[Array, " orders"]:
        here = grid.position_of(obs, family.size)
        there = grid.walk(here, orders[:, action], family.size)
        return grid.cell_at(there, family.size) != timestep.obs

    return version_space(
        _best_actions(tasks),
        jnp.asarray(prior),
        rules_out,
        num_actions=family.num_actions,
        episodes=episodes,
        in_episode=in_episode,
    )


def best_actions(family: DarkRoomFamily) -> Int[Array, "goals cells"]:
    """The way to every goal from every cell: along x, then along y, then stay.

    DPT's labels: of least gap with time enough and a goal that pays every step. In a
    family without these, where many actions are of no gap, they still go straight to
    the goal.
    """
    steps = max(family.horizon, 2 * family.size)
    plain = family.replace(reward_once=False, horizon=steps, goals="all")
    goals = jnp.asarray(grid.all_positions(family.size))
    return _best_actions(jax.vmap(plain.task)(goals))


def require_goals_alone(algorithm: str, family: Family) -> DarkRoomFamily:
    """The family; raises `ValueError` unless it is dark rooms that hide goals only."""
    require_family(algorithm, family, DarkRoomFamily)
    assert isinstance(family, DarkRoomFamily)  # for type checkers
    rule = "the family's actions must not be permuted"
    require(not family.permuted, rule, family.name or "one where they are")
    return family


def _best_actions(tasks: DarkRoom) -> Int[Array, "tasks cells"]:
    cells = jnp.arange(tasks.size**2)

    def best(task: DarkRoom, cell: Int[Array, ""]) -> Int[Array, ""]:
        state: DarkRoomState = task.state_from_obs(jnp.zeros((), jnp.int32), cell)
        return jnp.argmin(task.gaps(state))

    return jax.vmap(jax.vmap(best, (None, 0)), (0, None))(tasks, cells)


def _train_tasks(family: DarkRoomFamily) -> DarkRoom:
    train = family.split().train
    assert isinstance(train, FiniteTasks)  # for type checkers
    return train.tasks


def _require_prior(name: str, prior: str) -> None:
    require(prior in ("all", "train"), f"{name} must be all or train", repr(prior))
