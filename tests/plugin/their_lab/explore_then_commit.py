"""Explore, then commit."""

import jax.numpy as jnp

from envs.base import require
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.arm_statistics import (
    empirical_means,
    no_pulls,
    update_statistics,
)
from icrl.algorithms.registry import register


@register("explore_then_commit")
def explore_then_commit(family, *, pulls: int = 2):
    """Pulls every arm so many times, then the best average for ever.

    Source: Lattimore and Szepesvári 2020, "Bandit Algorithms", Chapter 6.

    Raises:
        ValueError: if `pulls` is below 1.
    """
    require(pulls >= 1, "pulls must be at least 1", pulls)

    def index(state, obs):
        del obs
        return jnp.where(state.pulls < pulls, jnp.inf, empirical_means(state))

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )
