"""Mostly the best average, sometimes anything."""

import jax.numpy as jnp

from envs.base import Family, require
from icrl.algorithms.base import Algorithm
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.arm_statistics import (
    ArmStatistics,
    empirical_means,
    no_pulls,
    require_bandit,
    update_statistics,
)
from icrl.algorithms.registry import register


@register("epsilon_greedy")
def epsilon_greedy(
    family: Family, *, epsilon: float = 0.1, shrunken: bool = False
) -> Algorithm:
    """Plays a uniformly random arm with probability `epsilon`, else the best average.

    An arm never pulled comes first; ties go to the lowest arm.

    Source: Sutton and Barto 2018, "Reinforcement Learning", Section 2.4.

    Args:
        family: what it plays.
        epsilon: the probability.
        shrunken: whether every average counts a win and a loss that never were, (1+s) /
            (2+n), and no arm comes first, as in the authors' code of Duan et al. 2016,
            arXiv 1611.02779.

    Raises:
        ValueError: if `epsilon` is not a probability, or the family is no bandit.
    """
    require_bandit("epsilon_greedy", family)
    require(0 <= epsilon <= 1, "epsilon must lie in [0, 1]", epsilon)

    def index(state: ArmStatistics, obs):
        del obs
        if shrunken:
            return (1 + state.total) / (2 + state.pulls)
        return jnp.where(state.pulls > 0, empirical_means(state), jnp.inf)

    return index_policy(
        family,
        init=lambda: no_pulls(family),
        index=index,
        update=update_statistics,
        exploration=lambda state: jnp.asarray(epsilon, jnp.float32),
    )
