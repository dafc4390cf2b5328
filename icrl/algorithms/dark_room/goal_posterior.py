"""What an ideal DPT plays in dark rooms: exact posteriors over the hidden task.

The probability of an action is the posterior probability that it is the best one here,
which is what a DPT would predict that had learnt its training data perfectly.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs import grid
from envs.base import Family, require
from envs.dark_room import DarkRoom, DarkRoomFamily, DarkRoomState
from envs.planning import EXACT
from envs.splits import FiniteTasks
from icrl.algorithms.base import Algorithm, require_prior
from icrl.algorithms.dark_room.version_space import Probabilities, version_space, vote
from icrl.algorithms.registry import register

Prior = Literal["all", "train"]


@register("exact_goal_posterior")
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
    num_cells = room.observation.n
    prior = np.ones(num_cells, bool)
    if goals == "train":
        trained = grid.cell_at(_train_tasks(room).goal, room.size)
        prior = np.isin(np.arange(num_cells), trained)

    def rules_out(obs: Any, action: Array, timestep: Any) -> Bool[Array, " goals"]:
        del obs, action
        return _goals_ruled_out(jnp.arange(num_cells), timestep)

    return version_space(
        vote(best_actions(room), family.num_actions),
        jnp.asarray(prior),
        rules_out,
        episodes=episodes,
        in_episode=in_episode,
    )


@register("exact_permutation_posterior")
def exact_permutation_posterior(
    family: Family,
    *,
    episodes: int | None = None,
    in_episode: bool = True,
    permutations: Prior = "all",
) -> Algorithm:
    """Posterior sampling of what actions mean, and of the goal, at every step.

    Where a step ends rules out orders, and whether it pays there rules out goals. The
    prior is uniform over the family's goals; of a single one nothing is left to learn.

    Args:
        family: a dark room of permuted actions.
        episodes: whole past episodes that are remembered; all if None.
        in_episode: whether the steps of this episode count, too.
        permutations: the prior is uniform over all 120, or over those that any training
            task has.

    Raises:
        ValueError: if the family is another, or an option breaks its rule.
    """
    require_prior("exact_permutation_posterior", family, DarkRoomFamily)
    assert isinstance(family, DarkRoomFamily)  # for type checkers
    rule = "the family's actions must be permuted"
    require(family.permuted, rule, family.name or "one where they are not")
    _require_prior("permutations", permutations)
    goals, orders = jnp.asarray(family.all_goals()), jnp.asarray(family.all_orders())
    goal_cells = grid.cell_at(goals, family.size)
    prior = np.ones(len(orders), bool)
    if permutations == "train":
        trained = np.unique(_train_tasks(family).action_order, axis=0)
        prior = (np.asarray(orders)[:, None] == trained).all(-1).any(-1)

    def rules_out(obs: Any, action: Array, timestep: Any):
        here = grid.position_of(obs, family.size)
        there = grid.walk(here, orders[:, action], family.size)
        wrong_order = grid.cell_at(there, family.size) != timestep.obs
        return _goals_ruled_out(goal_cells, timestep), wrong_order

    return version_space(
        _vote_of_pairs(_least_gap(jax.vmap(family.task)(goals)), orders),
        (jnp.ones(len(goals), bool), jnp.asarray(prior)),
        rules_out,
        episodes=episodes,
        in_episode=in_episode,
    )


def best_actions(family: DarkRoomFamily) -> Int[Array, "goals cells"]:
    """The way to every goal from every cell: along x, then along y, then stay.

    DPT's labels, as its released code has them: of least gap with time enough and a
    goal that pays every step. In a family without these, where many actions are of no
    gap, they still go straight to the goal. Where a wall makes a bump another way to
    stay, it is staying that is named: the rule is then the same in every cell, and
    holds for goals that no training task has.
    """
    steps = max(family.horizon, 2 * family.size)
    plain = family.replace(reward_once=False, horizon=steps, goals="all")
    goals = jnp.asarray(grid.all_positions(family.size))
    moves = jnp.argmax(_least_gap(jax.vmap(plain.task)(goals)), axis=-1)
    at_goal = jnp.eye(len(goals), dtype=bool)
    return jnp.where(at_goal, grid.STAY, moves)


def require_goals_alone(algorithm: str, family: Family) -> DarkRoomFamily:
    """The family; raises `ValueError` unless it is dark rooms that hide goals only."""
    require_prior(algorithm, family, DarkRoomFamily)
    assert isinstance(family, DarkRoomFamily)  # for type checkers
    rule = "the family's actions must not be permuted"
    require(not family.permuted, rule, family.name or "one where they are")
    return family


def _goals_ruled_out(
    goals: Int[Array, " goals"], timestep: Any
) -> Bool[Array, " goals"]:
    is_here = goals == timestep.obs
    return jnp.where(timestep.reward > 0, ~is_here, is_here)


def _least_gap(tasks: DarkRoom) -> Bool[Array, "tasks cells actions"]:
    """The best actions of every task, in every cell as an episode begins."""
    cells = jnp.arange(tasks.size**2)

    def best(task: DarkRoom, cell: Int[Array, ""]) -> Bool[Array, " actions"]:
        state: DarkRoomState = task.state_from_obs(jnp.zeros((), jnp.int32), cell)
        return task.gaps(state) == 0

    return jax.vmap(jax.vmap(best, (None, 0)), (0, None))(tasks, cells)


def _vote_of_pairs(
    best_moves: Bool[Array, "goals cells 5"], orders: Int[Array, "orders 5"]
) -> Probabilities:
    """Probabilities of the best action: every goal with every order has one vote.

    A pair's best action is the first that does one of the goal's best moves. So orders
    vote once for each of the 32 sets of moves, and goals choose among these votes.
    """
    moves = np.arange(5)
    has = (np.arange(2**5)[:, None] >> moves) % 2 == 1  # [sets, moves]
    set_of = best_moves.astype(jnp.int32) @ 2**moves  # of every goal, in every cell
    first = jnp.argmax(jnp.asarray(has)[:, orders], axis=-1)  # [sets, orders]
    plays = jax.nn.one_hot(first, 5)  # [sets, orders, actions]

    def probabilities(left: Any, obs: Any) -> Float[Array, " actions"]:
        goals_left, orders_left = left
        votes = jnp.einsum(
            "o,soa->sa", orders_left.astype(jnp.float32), plays, precision=EXACT
        )
        counts = jnp.matmul(
            goals_left.astype(jnp.float32), votes[set_of[:, obs]], precision=EXACT
        )
        return counts / counts.sum()

    return probabilities


def _train_tasks(family: DarkRoomFamily) -> DarkRoom:
    train = family.split().train
    assert isinstance(train, FiniteTasks)  # for type checkers
    return train.tasks


def _require_prior(name: str, prior: str) -> None:
    require(prior in ("all", "train"), f"{name} must be all or train", repr(prior))
