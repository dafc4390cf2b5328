"""Bayes-UCB: the upper confidence bound that a posterior gives."""

import numpy as np
from jaxtyping import Array, Float

from envs.base import Family, require
from icrl.algorithms import posteriors
from icrl.algorithms.base import Algorithm
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics, update_statistics
from icrl.algorithms.registry import register


@register("bayes_ucb")
def bayes_ucb(
    family: Family,
    *,
    posterior: posteriors.Posterior | None = None,
    log_power: float = 0.0,
) -> Algorithm:
    """Plays the arm whose posterior has the highest upper quantile.

    At step t, counted from 1, of a horizon n the quantile is what a mean exceeds with
    probability 1/(t (ln n)^log_power); ties go to the lowest arm.

    Source: Kaufmann, Cappé and Garivier 2012, "On Bayesian upper confidence bounds for
    bandit problems", Algorithm 1 (their c is our `log_power`; 5 in the theorem, 0
    advised in practice).

    Args:
        family: what it plays.
        posterior: the belief about the arms; the family's exact one if not given.
        log_power: how much more optimistic a longer horizon is.

    Raises:
        ValueError: if `log_power` is negative, or the family has no exact posterior.
    """
    require(log_power >= 0, "log_power must not be negative", log_power)
    posterior = posterior or posteriors.exact(family)
    divisor = float(np.log(max(family.horizon, 3)) ** log_power)

    def index(state: ArmStatistics, obs) -> Float[Array, " arms"]:
        del obs
        t = 1 + state.pulls.sum()
        return posterior.upper_quantile(state, 1 / (t * divisor))

    return index_policy(
        family, init=posterior.init, index=index, update=update_statistics
    )
