"""What a learner of a tabular MDP remembers: counts, reward sums and ended states.

Observations are taken to be the MDP's states, and its transition probabilities and
rewards to be the same at every step of an episode. Learners that plan from these plan
as an episode begins.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import Family, TimeStep, require_discrete
from icrl.algorithms.posteriors import compensated


class MDPStatistics(NamedTuple):
    """What has been seen of every state and action, and where the learner stands.

    Where each step of an episode is counted by itself, tables have it as an axis before
    the states.
    """

    transitions: Float[Array, "*batch states actions states"]  # how often
    visits: Float[Array, "*batch states actions"]  # steps whose reward was seen
    total: Float[Array, "*batch states actions"]  # sum of rewards
    excess: Float[Array, "*batch states actions"]  # of `total`, by rounding
    ended: Bool[Array, "*batch states"]  # an episode has terminated there
    step: Int[Array, "*batch"]  # of the episode
    episode: Int[Array, "*batch"]  # how many have begun


def no_steps(family: Family, *, per_step: bool = False) -> MDPStatistics:
    """The statistics before the first step.

    Args:
        family: with integer observations.
        per_step: whether each step of an episode is counted by itself.
    """
    states = require_discrete("counting", family).n
    shape = states, family.num_actions
    if per_step:
        shape = family.horizon, *shape
    return MDPStatistics(
        transitions=jnp.zeros((*shape, states)),
        visits=jnp.zeros(shape),
        total=jnp.zeros(shape),
        excess=jnp.zeros(shape),
        ended=jnp.zeros(states, bool),
        step=jnp.zeros((), jnp.int32),
        episode=jnp.zeros((), jnp.int32),
    )


def begin_episode(statistics: MDPStatistics) -> MDPStatistics:
    """The statistics as an episode begins."""
    return statistics._replace(
        step=jnp.zeros_like(statistics.step), episode=statistics.episode + 1
    )


def count_step(
    statistics: MDPStatistics,
    obs: Any,
    action: Array,
    timestep: TimeStep,
    *,
    horizon: int,
    last_transition: bool = True,
) -> MDPStatistics:
    """The statistics after one more step.

    Once an episode has terminated in a state, steps from there teach nothing: they are
    the absorbing rest of an episode.

    Args:
        statistics: before the step.
        obs: the state that the step left.
        action: what was done there.
        timestep: what followed.
        horizon: steps in an episode.
        last_transition: whether the transition of an episode's last step counts. It
            decides nothing in that episode, and Osband's TabulaRL leaves it out. Its
            reward always counts.
    """
    live = ~statistics.ended[obs]
    moved = live
    if not last_transition:
        moved = live & ((statistics.step + 1) % horizon != 0)
    arrived, here = timestep.obs, (obs, action)
    if statistics.visits.ndim == 3:
        here = statistics.step, *here
    total, excess = compensated.add(
        statistics.total[here],
        statistics.excess[here],
        jnp.where(live, timestep.reward, 0.0),
    )
    return statistics._replace(
        transitions=statistics.transitions.at[*here, arrived].add(moved * 1.0),
        visits=statistics.visits.at[here].add(live * 1.0),
        total=statistics.total.at[here].set(total),
        excess=statistics.excess.at[here].set(excess),
        ended=statistics.ended.at[arrived].max(live & timestep.terminated),
        step=statistics.step + 1,
    )


def empirical_rewards(
    statistics: MDPStatistics,
) -> Float[Array, "*steps states actions"]:
    """Average reward of every state and action; 0 where none was seen."""
    return statistics.total / jnp.maximum(statistics.visits, 1.0)


def empirical_transitions(
    statistics: MDPStatistics,
) -> Float[Array, "*steps states actions states"]:
    """How often each state followed, as fractions; zeros where nothing was seen."""
    counts = statistics.transitions
    return counts / jnp.maximum(counts.sum(-1, keepdims=True), 1.0)
