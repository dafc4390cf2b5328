"""Posterior sampling for reinforcement learning, and its optimistic form."""

import jax
import jax.numpy as jnp

from envs.base import Family, require
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.backward_induction import Table, optimal_plan
from icrl.algorithms.mdp.tabular_policy import planned_policy
from icrl.algorithms.posteriors.mdp_posterior import (
    MDPPrior,
    chosen_prior,
    posterior,
    sample_mdp,
)
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics
from icrl.algorithms.registry import register


@register("psrl")
def psrl(
    family: Family,
    *,
    prior: MDPPrior | None = None,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Draws one MDP from its posterior as an episode begins, and plays its optimum.

    Source: Osband, Russo and Van Roy 2013, arXiv 1306.0940, Algorithm 1.

    Args:
        family: with integer observations.
        prior: what is believed before the first step; if None, the family's own where
            it is a random MDP with normal rewards, else the defaults of `MDPPrior`.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, or the prior is not proper.
    """
    return optimistic_psrl(
        family,
        num_samples=1,
        prior=prior,
        last_transition=last_transition,
        random_ties=random_ties,
    )


@register("optimistic_psrl")
def optimistic_psrl(
    family: Family,
    *,
    num_samples: int = 8,
    prior: MDPPrior | None = None,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Plays by the largest Q of several MDPs drawn from the posterior.

    Each is planned by itself; then the largest of their Q is taken for every step,
    state and action.

    Source: Osband's TabulaRL (`OptimisticPSRL`), which RL² (Duan et al. 2016, arXiv
    1611.02779) calls OPSRL.

    Args:
        family: with integer observations.
        num_samples: MDPs drawn.
        prior: as in `psrl`.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if `num_samples` is below 1, observations are not integers, or the
            prior is not proper.
    """
    require(num_samples >= 1, "num_samples must be at least 1", num_samples)
    prior = chosen_prior(family, prior)

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        del previous
        belief = posterior(prior, statistics)

        def sample(largest: Table, number: jax.Array) -> tuple[Table, None]:
            rewards, transitions = sample_mdp(jax.random.fold_in(key, number), belief)
            table = optimal_plan(statistics, rewards, transitions, family.horizon)
            return jnp.maximum(largest, table), None

        # one after another: few stay in the processor's cache
        shape = family.horizon, *statistics.visits.shape
        nothing = jnp.full(shape, -jnp.inf)
        return jax.lax.scan(sample, nothing, jnp.arange(num_samples))[0]

    return planned_policy(
        family, plan, last_transition=last_transition, random_ties=random_ties
    )
