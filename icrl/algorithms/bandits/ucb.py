"""Upper confidence bounds, in the forms that papers use."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, Scalar, require
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

FORMS = ("inverse_sqrt", "shrunken", "ucb1", "rl2")


@register("ucb")
def ucb(
    family: Family,
    *,
    form: str = "inverse_sqrt",
    width: Scalar = 1.0,
    explore_first: bool = True,
) -> Algorithm:
    """Plays the arm of highest upper confidence bound; ties go to the lowest arm.

    An arm pulled n times, for a sum of s, in t pulls of all arms, has the bound

        inverse_sqrt  s/n + width / √n            Lee et al. 2023, arXiv 2306.14892
        shrunken      s/(1+n) + width / √(1+n)    the code of Lin et al. 2023, arXiv
                                                  2310.08566 (its text has s/n + √(1/n))
        ucb1          s/n + width √(2 ln t / n)   Auer et al. 2002, Figure 1
        rl2           (1+s)/(2+n) + width √(2 ln t / (2+n))   the authors' code of Duan
                                                  et al. 2016, arXiv 1611.02779

    and an arm never pulled comes first, but for "shrunken" and "rl2", which need no
    such rule: they count a pull, or a win and a loss, that never was.

    Args:
        family: what it plays.
        form: of the bound.
        width: of the bonus, in reward units.
        explore_first: if not, an arm never pulled has the bound of one that paid 0
            once, as a plain reading of Lin et al.'s text would have it.

    Raises:
        ValueError: if there is no such form, `width` is negative, or the family is no
            bandit.
    """
    require_bandit("ucb", family)
    require(form in FORMS, f"form must be one of {', '.join(FORMS)}", repr(form))
    require(width >= 0, "width must not be negative", width)

    def index(state: ArmStatistics, obs) -> Float[Array, " arms"]:
        del obs
        spread = jnp.sqrt(2 * jnp.log(jnp.maximum(state.pulls.sum(), 1.0)))
        if form == "rl2":
            count = 2 + state.pulls
            return (1 + state.total) / count + width * spread / jnp.sqrt(count)
        if form == "shrunken":
            count = 1 + state.pulls
            return state.total / count + width / jnp.sqrt(count)
        count = jnp.maximum(state.pulls, 1.0)
        bonus = width / jnp.sqrt(count)
        if form == "ucb1":
            bonus *= spread
        bound = empirical_means(state) + bonus
        return jnp.where((state.pulls > 0) | (not explore_first), bound, jnp.inf)

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )
