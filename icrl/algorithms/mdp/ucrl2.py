"""UCRL2 with a finite horizon: the best MDP that the data do not rule out."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, require, require_discrete
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.backward_induction import (
    PerAction,
    Table,
    backward_induction,
    expected,
)
from icrl.algorithms.mdp.tabular_policy import planned_policy
from icrl.algorithms.posteriors.mdp_posterior import NO_PRIOR, posterior
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics
from icrl.algorithms.registry import register


@register("ucrl2")
def ucrl2(
    family: Family,
    *,
    scale: float = 0.1,
    delta: float = 0.05,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Plans in the MDP of highest value within confidence sets.

    With n rewards and m transitions seen of a state and action, in episode k = 1, 2,
    ..., a mean reward may exceed the average by

        scale √(4 ln(2 S A (k + 1) / δ) / max(n, 1)),

    and a row may differ from the frequencies, in the sum of absolute differences, by

        scale √(4 S ln(2 S A (k + 1) / δ) / max(m, 1)).

    Where nothing was seen, the reward is 0 and the row uniform before that.

    Source: Jaksch, Ortner and Auer 2010, "Near-optimal regret bounds for reinforcement
    learning", Figures 1 and 2, with a finite horizon, planned as each episode begins;
    widths as in Osband's TabulaRL (`UCRL2`), which RL² (Duan et al. 2016, arXiv
    1611.02779, Table 2) compares itself with. There the estimates are overwritten while
    it plans; here they are not.

    Args:
        family: with integer observations.
        scale: of both widths.
        delta: probability that a bound may fail.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, or a number is out of its range.
    """
    require(scale >= 0, "scale must not be negative", scale)
    require(0 < delta < 1, "delta must lie in (0, 1)", delta)
    states, actions = require_discrete("ucrl2", family).n, family.num_actions
    base = math.log(2 * states * actions / delta)
    prior = NO_PRIOR._replace(concentration=1e-5)

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        del key, previous
        belief = posterior(prior, statistics)
        level = 4 * (base + jnp.log(1.0 + statistics.episode))
        moves = statistics.transitions.sum(-1)
        rewards = belief.reward_mean + scale * jnp.sqrt(
            level / jnp.maximum(statistics.visits, 1.0)
        )
        slack = scale * jnp.sqrt(states * level / jnp.maximum(moves, 1.0))

        def backup(next_value: Array, _: None) -> PerAction:
            return rewards + optimistic_value(belief.transitions, slack, next_value)

        return backward_induction(backup, statistics, family.horizon)

    return planned_policy(
        family, plan, last_transition=last_transition, random_ties=random_ties
    )


def optimistic_value(
    transitions: Float[Array, "states actions states"],
    slack: PerAction,
    next_value: Float[Array, " states"],
) -> PerAction:
    """The largest mean of `next_value` over all distributions near each row.

    Source: Jaksch, Ortner and Auer 2010, Figure 2: half the slack moves to the best
    state, and what is too much leaves the worst ones first.

    Args:
        transitions: rows.
        slack: largest sum of absolute differences from each row, as one number a row.
        next_value: of each state.
    """
    order = jnp.argsort(next_value)  # the best is last
    rows = transitions[..., order]
    moved = jnp.minimum(slack / 2, 1 - rows[..., -1])
    before = jnp.cumsum(rows, axis=-1) - rows
    lost = jnp.clip(moved[..., None] - before, 0.0, rows)
    lost = lost.at[..., -1].set(-moved)  # the best gains what the others lose
    return expected(rows - lost, next_value[order])
