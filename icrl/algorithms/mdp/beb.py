"""Posterior means with a bonus: BEB, and the form of UCB-VI that TabulaRL has."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from envs.base import Family, require
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.backward_induction import (
    PerAction,
    Table,
    backward_induction,
    expected,
)
from icrl.algorithms.mdp.tabular_policy import planned_policy
from icrl.algorithms.posteriors.mdp_posterior import (
    MDPPosterior,
    MDPPrior,
    chosen_prior,
    posterior,
)
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics
from icrl.algorithms.registry import register

# (belief, episode) -> bonus on the reward, bonus on each step that is still to come
Bonuses = Callable[[MDPPosterior, Int[Array, ""]], tuple[PerAction, PerAction]]


@register("beb")
def beb(
    family: Family,
    *,
    prior: MDPPrior | None = None,
    scale: float = 1e-3,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Bayesian exploration bonus: posterior means, and a bonus that falls as 1/n.

    With τ the posterior precision of a mean reward and α the sum of a row's posterior
    Dirichlet parameters, Q of step h in 0..H-1 is

        r̄ + 1 / (τ + 1) + P̄ V_{h+1} + (H - 1 - h) · 2 scale H³ / (α + 1).

    Source: Kolter and Ng 2009, "Near-Bayesian exploration in polynomial time", Section
    3, for the form 1 / (1 + α); the constants and the bonus on rewards, which `scale`
    leaves alone, are those of Osband's TabulaRL (`BEB`), which RL² (Duan et al. 2016,
    arXiv 1611.02779, Table 2) compares itself with.

    Args:
        family: with integer observations.
        prior: as in `psrl`.
        scale: of the bonus for what follows.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, the prior is not proper or `scale`
            is negative.
    """
    require(scale >= 0, "scale must not be negative", scale)
    weight = 2 * scale * family.horizon**3

    def bonuses(belief: MDPPosterior, episode: Array) -> tuple[PerAction, PerAction]:
        del episode
        of_reward = 1 / (belief.reward_precision + 1)
        return of_reward, weight / (belief.concentration.sum(-1) + 1)

    return _with_bonuses(family, prior, bonuses, last_transition, random_ties)


@register("ucb_vi_posterior")
def ucb_vi_posterior(
    family: Family,
    *,
    prior: MDPPrior | None = None,
    scale: float = 0.1,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Posterior means, and a bonus that falls as 1/√n.

    With τ and α as in `beb`, Q of step h in 0..H-1 of episode k = 1, 2, ... is

        r̄ + scale √(2 ln(2 + k) / τ) + P̄ V_{h+1}
          + (H - 1 - h) · scale √(2 ln(2 + k) / α).

    Unlike `ucb_vi`, it has a prior, and no cap.

    Source: Osband's TabulaRL (`UCBVI`).

    Args:
        family: with integer observations.
        prior: as in `psrl`.
        scale: of both bonuses.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, the prior is not proper or `scale`
            is negative.
    """
    require(scale >= 0, "scale must not be negative", scale)

    def bonuses(belief: MDPPosterior, episode: Array) -> tuple[PerAction, PerAction]:
        level = 2 * jnp.log(2.0 + episode)
        of_reward = scale * jnp.sqrt(level / belief.reward_precision)
        return of_reward, scale * jnp.sqrt(level / belief.concentration.sum(-1))

    return _with_bonuses(family, prior, bonuses, last_transition, random_ties)


def _with_bonuses(
    family: Family,
    prior: MDPPrior | None,
    bonuses: Bonuses,
    last_transition: bool,
    random_ties: bool,
) -> Algorithm:
    """Plans with posterior means and bonuses."""
    prior = chosen_prior(family, prior)

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        del key, previous
        belief = posterior(prior, statistics)
        of_reward, of_each_step = bonuses(belief, statistics.episode)

        def backup(next_value: Array, steps_left: Array) -> PerAction:
            future = expected(belief.transitions, next_value)
            future = future + steps_left * of_each_step
            return belief.reward_mean + of_reward + future

        steps_left = jnp.arange(family.horizon)[::-1]  # after the step
        return backward_induction(
            backup, statistics, family.horizon, per_step=steps_left
        )

    return planned_policy(
        family, plan, last_transition=last_transition, random_ties=random_ties
    )
