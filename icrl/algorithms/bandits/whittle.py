"""A closed form that comes near to the Gittins index."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, require
from envs.bernoulli_bandit import BernoulliBanditFamily
from icrl.algorithms.base import Algorithm, require_family
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.arm_statistics import (
    ArmStatistics,
    no_pulls,
    update_statistics,
)
from icrl.algorithms.registry import register


@register("whittle")
def whittle(family: Family, *, discount: float = 0.99) -> Algorithm:
    """Plays the arm of highest approximate Gittins index; ties go to the lowest.

        p + p (1 - p) / (n √((2c + 1/n) p (1 - p)) + p - 1/2),   c = -ln(discount)

    for an arm with posterior mean p after n - 2 pulls, under Beta(1, 1).

    Source: Whittle's approximation, as in Brezzi and Lai 2002, "Optimal learning and
    experimentation in bandit problems", Section 2; one of those from which the authors
    of Duan et al. 2016, arXiv 1611.02779, take the best as "Gittins".

    Args:
        family: of Bernoulli bandits.
        discount: of the infinite horizon for which the index is.

    Raises:
        ValueError: if the discount does not lie in (0, 1), or the family has other
            rewards.
    """
    require_family("whittle", family, BernoulliBanditFamily)
    require(0 < discount < 1, "discount must lie in (0, 1)", discount)
    charge = -jnp.log(discount)

    def index(state: ArmStatistics, obs: Any) -> Float[Array, " arms"]:
        del obs
        n = 2 + state.pulls
        p = (1 + state.total) / n
        variance = p * (1 - p)
        return p + variance / (n * jnp.sqrt((2 * charge + 1 / n) * variance) + p - 0.5)

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )
