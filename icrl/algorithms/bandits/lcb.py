"""Lower confidence bounds: pessimism, for data of another behaviour policy."""

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


@register("lcb")
def lcb(family: Family, *, width: float = 1.0, unseen: str = "never") -> Algorithm:
    """Plays the arm of highest `mean - width / √n`; ties go to the lowest arm.

    Source: Lee et al. 2023, arXiv 2306.14892, appendix (LCB, width 1); its code has
    width 0.8 and the bound `0 - width` for an arm without data.

    Args:
        family: what it plays.
        width: how pessimistic, in reward units.
        unseen: an arm without data is chosen "never" (unless there is no data at all),
            as in the paper, or has mean "zero" and counts as pulled once, as in its
            code.

    Raises:
        ValueError: if `width` is negative, `unseen` is neither, or the family is no
            bandit.
    """
    require_bandit("lcb", family)
    require(width >= 0, "width must not be negative", width)
    require(
        unseen in ("never", "zero"), "unseen must be one of never, zero", repr(unseen)
    )
    without_data = -jnp.inf if unseen == "never" else -width

    def index(state: ArmStatistics, obs):
        del obs
        bound = empirical_means(state) - width / jnp.sqrt(jnp.maximum(state.pulls, 1.0))
        return jnp.where(state.pulls > 0, bound, without_data)

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )
