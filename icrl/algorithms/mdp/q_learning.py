"""Q-learning: one table, moved a little after every step, without a model."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import Family, require, require_discrete
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.tabular_policy import read, table_policy
from icrl.algorithms.registry import register


class QLearning(NamedTuple):
    """The table, and where the learner stands."""

    table: Float[Array, "*batch horizon states actions"]  # Q, reward units
    visits: Float[Array, "*batch horizon states actions"]
    ended: Bool[Array, "*batch states"]  # an episode has terminated there
    step: Int[Array, "*batch"]  # of the episode


@register("ucb_q_learning")
def ucb_q_learning(
    family: Family,
    *,
    scale: float = 1.0,
    delta: float = 0.05,
    num_episodes: int = 100,
    max_reward: float = 1.0,
    random_ties: bool = False,
) -> Algorithm:
    """Q-learning with a Hoeffding bonus: UCB-H.

    Q starts at C = H max_reward. The t-th visit of a step, state and action moves it by
    α = (H + 1) / (H + t) towards

        r + min{C, max_a' Q_{h+1}(s', a')} + scale max_reward √(H³ ι / t),

    ι = ln(S A T / δ), T = H num_episodes.

    Source: Jin et al. 2018, arXiv 1807.03765, Algorithm 1; its absolute constant c is
    `scale`.

    Args:
        family: with integer observations.
        scale: of the bonus; at 1 the table stays at its start for hundreds of visits.
        delta: probability that a bound may fail.
        num_episodes: that will be played; it enters a logarithm.
        max_reward: rewards lie in [0, max_reward], reward units.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, or a number is out of its range.
    """
    require(scale >= 0, "scale must not be negative", scale)
    require(0 < delta < 1, "delta must lie in (0, 1)", delta)
    require(num_episodes >= 1, "num_episodes must be at least 1", num_episodes)
    require(max_reward > 0, "max_reward must be positive", max_reward)
    horizon = family.horizon
    pairs = require_discrete("Q-learning", family).n * family.num_actions
    level = math.log(pairs * horizon * num_episodes / delta)
    width = scale * max_reward * math.sqrt(horizon**3 * level)

    return _learner(
        family,
        start=horizon * max_reward,
        cap=horizon * max_reward,
        rate=lambda visits: (horizon + 1) / (horizon + visits),
        bonus=lambda visits: width / jnp.sqrt(visits),
        random_ties=random_ties,
    )


@register("q_learning")
def q_learning(
    family: Family,
    *,
    learning_rate: float = 0.1,
    epsilon: float = 0.1,
    start: float = 0.0,
    discount: float | None = None,
    random_ties: bool = False,
) -> Algorithm:
    """ε-greedy Q-learning.

    Without a discount there is a table for every step of the episode, and nothing after
    the last: Q-learning for the finite horizon. With one there is one table for all
    steps, which bootstraps through the horizon but not through a termination: what is
    usual where episodes are cut off.

    Source: Watkins and Dayan 1992, "Q-learning"; Sutton and Barto 2018, "Reinforcement
    Learning", Section 6.5.

    Args:
        family: with integer observations.
        learning_rate: how far an entry moves towards its target.
        epsilon: probability that a step's action is drawn uniformly.
        start: what fills the table, reward units.
        discount: of the next value; None for a table for every step.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, or a number is out of its range.
    """
    require(0 < learning_rate <= 1, "learning_rate must lie in (0, 1]", learning_rate)
    if discount is not None:
        require(0 <= discount < 1, "discount must lie in [0, 1)", discount)
    return _learner(
        family,
        start=start,
        discount=discount,
        rate=lambda visits: jnp.full_like(visits, learning_rate),
        bonus=jnp.zeros_like,
        epsilon=epsilon,
        random_ties=random_ties,
    )


def _learner(
    family: Family,
    *,
    start: float,
    rate: Any,
    bonus: Any,
    cap: float = math.inf,
    discount: float | None = None,
    epsilon: float = 0.0,
    random_ties: bool = False,
) -> Algorithm:
    """Q-learning by a rate and a bonus, both functions of an entry's visits."""
    states = require_discrete("Q-learning", family).n
    actions = family.num_actions
    shape = family.horizon if discount is None else 1, states, actions

    def init() -> QLearning:
        return QLearning(
            table=jnp.full(shape, start, float),
            visits=jnp.zeros(shape),
            ended=jnp.zeros(states, bool),
            step=jnp.zeros((), jnp.int32),
        )

    def next_value(state: QLearning, step: Array, timestep: Any) -> Array:
        """The value after this step."""
        value = jnp.minimum(read(state.table, step + 1, timestep.obs).max(), cap)
        if discount is not None:
            return jnp.where(timestep.terminated, 0.0, discount * value)
        over = timestep.terminated | (step + 1 == family.horizon)
        return jnp.where(over, 0.0, value)

    def update(state: QLearning, obs: Any, action: Array, timestep: Any) -> QLearning:
        step = state.step % family.horizon
        entry = step if discount is None else 0, obs, action
        visits = state.visits[entry] + 1
        target = timestep.reward + next_value(state, step, timestep) + bonus(visits)
        move = rate(visits) * (target - state.table[entry])
        live = ~state.ended[obs]
        return QLearning(
            table=state.table.at[entry].add(jnp.where(live, move, 0.0)),
            visits=state.visits.at[entry].add(live * 1.0),
            ended=state.ended.at[timestep.obs].max(live & timestep.terminated),
            step=state.step + 1,
        )

    policy = table_policy(
        family,
        init=init,
        row=lambda state, obs: read(state.table, state.step, obs),
        update=update,
        epsilon=epsilon,
        random_ties=random_ties,
    )
    return policy._replace(
        begin_episode=lambda key, state: state._replace(step=jnp.zeros_like(state.step))
    )
