"""The greedy baseline: trust the averages."""

import jax.numpy as jnp

from envs.base import Family
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


@register("empirical_mean")
def empirical_mean(family: Family, *, explore_first: bool = True) -> Algorithm:
    """Plays the arm of highest average reward; ties go to the lowest arm.

    Source: Emp of Lee et al. 2023, arXiv 2306.14892, appendix.

    Args:
        family: what it plays.
        explore_first: whether an arm never pulled comes first, as online; if not, such
            an arm is never chosen while another has been pulled, as offline.

    Raises:
        ValueError: if the family is no bandit.
    """
    require_bandit("empirical_mean", family)
    unseen = jnp.inf if explore_first else -jnp.inf

    def index(state: ArmStatistics, obs):
        del obs
        return jnp.where(state.pulls > 0, empirical_means(state), unseen)

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )
