"""Randomised least-squares value iteration, with a table."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Family, require
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.backward_induction import (
    PerAction,
    Table,
    backward_induction,
    expected,
)
from icrl.algorithms.mdp.tabular_policy import planned_policy
from icrl.algorithms.posteriors.mdp_statistics import (
    MDPStatistics,
    empirical_transitions,
)
from icrl.algorithms.registry import register


@register("rlsvi")
def rlsvi(
    family: Family,
    *,
    noise_std: float = 1.0,
    ridge: float = 1.0,
    random_ties: bool = False,
) -> Algorithm:
    """Regresses Q on what was seen, draws it from that posterior, and plays by it.

    Step h draws, independently for each state and action with n visits,

        Q_h ~ N(n (r̂ + P̂ V_{h+1}) / (σ² c), 1 / c),   c = n / σ² + λ,

    with V_{h+1} = max_a Q_{h+1} as drawn. This is Bayesian least squares with prior
    N(0, 1/λ) and noise of deviation σ on targets r + V_{h+1}(s').

    Source: Osband, Van Roy and Wen 2016, arXiv 1402.0635, Algorithm 1, with one feature
    for each state and action. There step h learns from steps h alone; here from all,
    since transitions do not depend on h.

    Args:
        family: with integer observations.
        noise_std: σ, of the targets, reward units.
        ridge: λ, one over squared reward units.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, or a number is not positive.
    """
    require(noise_std > 0, "noise_std must be positive", noise_std)
    require(ridge > 0, "ridge must be positive", ridge)
    weight = noise_std**-2

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        visits = statistics.visits
        precision = weight * visits + ridge
        transitions = empirical_transitions(statistics)

        def backup(next_value: Array, noise: PerAction) -> PerAction:
            targets = statistics.total + visits * expected(transitions, next_value)
            return weight * targets / precision + noise / jnp.sqrt(precision)

        noise = jax.random.normal(key, previous.shape)
        return backward_induction(backup, statistics, family.horizon, per_step=noise)

    return planned_policy(family, plan, random_ties=random_ties)
