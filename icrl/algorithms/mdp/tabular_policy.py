"""Policies that read a table of values at the step and the state where they are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Family, require, require_discrete
from icrl.algorithms.base import AgentState, Algorithm
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.mdp.backward_induction import Table
from icrl.algorithms.posteriors import mdp_statistics
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics

# Roundings of the largest value within which others equal it: what rounding makes of a
# tie must not decide it, and what is more than rounding must.
TIE = 32

Plan = Callable[[jax.Array, MDPStatistics, Table], Table]


class Planned(NamedTuple):
    """What a planner has learnt, and its plan for this episode."""

    statistics: MDPStatistics
    table: Float[Array, "*batch horizon states actions"]  # Q, in reward units


def planned_policy(
    family: Family,
    plan: Plan,
    *,
    unplanned: float = 0.0,
    last_transition: bool = True,
    per_step: bool = False,
    epsilon: float = 0.0,
    temperature: float = 0.0,
    random_ties: bool = False,
) -> Algorithm:
    """Plans as an episode begins, from all that was seen, and plays by the plan.

    `action_probabilities` are those of `act` given the plan of this episode.

    Args:
        family: with integer observations, which are the MDP's states.
        plan: `(key, statistics, table) -> table`: Q of every step, state and action.
            It is given its last table.
        unplanned: what fills the table before the first plan, in reward units.
        last_transition: as in `mdp_statistics.count_step`.
        per_step: as in `mdp_statistics.no_steps`.
        epsilon: as in `table_policy`.
        temperature: as in `table_policy`.
        random_ties: as in `table_policy`.

    Raises:
        ValueError: if observations are not integers, or a number is out of its range.
    """
    states = require_discrete("planning", family).n
    horizon = family.horizon
    shape = horizon, states, family.num_actions

    def init() -> Planned:
        table = jnp.full(shape, unplanned, float)
        statistics = mdp_statistics.no_steps(family, per_step=per_step)
        return Planned(statistics=statistics, table=table)

    def begin_episode(key: jax.Array, state: Planned) -> Planned:
        statistics = mdp_statistics.begin_episode(state.statistics)
        return Planned(statistics=statistics, table=plan(key, statistics, state.table))

    def update(state: Planned, obs: Any, action: Array, timestep: Any) -> Planned:
        statistics = mdp_statistics.count_step(
            state.statistics,
            obs,
            action,
            timestep,
            horizon=horizon,
            last_transition=last_transition,
        )
        return state._replace(statistics=statistics)

    policy = table_policy(
        family,
        init=init,
        row=lambda state, obs: read(state.table, state.statistics.step, obs),
        update=update,
        epsilon=epsilon,
        temperature=temperature,
        random_ties=random_ties,
    )
    return policy._replace(begin_episode=begin_episode)


def table_policy(
    family: Family,
    *,
    init: Callable[[], AgentState],
    row: Callable[[AgentState, Any], Float[Array, " actions"]],
    update: Callable[[AgentState, Any, Array, Any], AgentState],
    epsilon: float = 0.0,
    temperature: float = 0.0,
    random_ties: bool = False,
) -> Algorithm:
    """Plays the action of highest value, nearly.

    Args:
        family: what it plays.
        init: as in `Algorithm`.
        row: `(state, obs) -> values` of the actions, here and now.
        update: as in `Algorithm`.
        epsilon: probability that a step's action is drawn uniformly from all instead.
        temperature: in reward units; above 0, actions are drawn from the softmax of
            their values over it instead.
        random_ties: whether all actions of highest value are equally likely; else ties
            go to the lowest.

    Raises:
        ValueError: if epsilon is not a probability or the temperature negative, or both
            are given.
    """
    require(0 <= epsilon <= 1, "epsilon must lie in [0, 1]", epsilon)
    both = f"{epsilon} and {temperature}"
    require(epsilon * temperature == 0, "epsilon or temperature must be 0", both)
    exploration = jnp.asarray(epsilon, jnp.float32)
    return index_policy(
        family,
        init=init,
        index=lambda state, obs: settle_ties(row(state, obs)),
        update=update,
        exploration=(lambda state: exploration) if epsilon > 0 else None,
        random_ties=random_ties,
        temperature=temperature,
    )


def read(table: Table, step: Int[Array, ""], obs: Any) -> Float[Array, " actions"]:
    """The row of a step and a state; the last row after the last step."""
    return table[step, obs]  # JAX reads the last row where an index is beyond it


def settle_ties(values: Float[Array, " actions"]) -> Float[Array, " actions"]:
    """The same values, but those that differ from the largest by rounding equal it."""
    largest = values.max()
    rounding = jnp.finfo(values.dtype).eps * jnp.abs(values).max()
    return jnp.where(values >= largest - TIE * rounding, largest, values)
