"""Value iteration with lower confidence bounds, for another behaviour policy's data."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Family, require, require_discrete
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
    empirical_rewards,
    empirical_transitions,
)
from icrl.algorithms.registry import register


@register("vi_lcb")
def vi_lcb(
    family: Family,
    *,
    scale: float = 1.0,
    delta: float = 0.05,
    max_reward: float = 1.0,
    random_ties: bool = False,
) -> Algorithm:
    """Plans with averages less a penalty for what the data hardly show.

    With n visits of a state and action and C = H max_reward,

        Q_h = max{0, r̂ + P̂ V_{h+1} - scale C √(ln(S A H / δ) / n)},

    and Q_h = 0 where n is 0. Offline it is the learner of choice where data cover a
    good policy but not all of them; online it never tries what it has not seen.

    Source: Rashidinejad et al. 2021, arXiv 2103.12021 (VI-LCB, discounted), in the
    finite-horizon form of Xie et al. 2021, arXiv 2106.04895. Ours uses all data for
    every step h: no splitting, the same transition probabilities at all steps, and
    `scale` for the constant.

    Args:
        family: with integer observations.
        scale: of the penalty.
        delta: probability that a bound may fail.
        max_reward: mean rewards lie in [0, max_reward], reward units.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, or a number is out of its range.
    """
    require(scale >= 0, "scale must not be negative", scale)
    require(0 < delta < 1, "delta must lie in (0, 1)", delta)
    require(max_reward > 0, "max_reward must be positive", max_reward)
    pairs = require_discrete("vi_lcb", family).n * family.num_actions
    triples = pairs * family.horizon
    width = scale * family.horizon * max_reward * math.sqrt(math.log(triples / delta))

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        del key, previous
        visits = statistics.visits
        penalty = width / jnp.sqrt(jnp.maximum(visits, 1.0))
        rewards = empirical_rewards(statistics) - penalty
        transitions = empirical_transitions(statistics)

        def backup(next_value: Array, _: None) -> PerAction:
            q_values = rewards + expected(transitions, next_value)
            return jnp.where(visits > 0, jnp.maximum(q_values, 0.0), 0.0)

        return backward_induction(backup, statistics, family.horizon)

    return planned_policy(family, plan, random_ties=random_ties)
