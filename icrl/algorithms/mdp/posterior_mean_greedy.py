"""Certainty equivalence: the optimum of the average MDP."""

import jax

from envs.base import Family
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.backward_induction import Table, optimal_plan
from icrl.algorithms.mdp.tabular_policy import planned_policy
from icrl.algorithms.posteriors.mdp_posterior import (
    NO_PRIOR,
    MDPPrior,
    chosen_prior,
    posterior,
)
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics
from icrl.algorithms.registry import register


@register("posterior_mean_greedy")
def posterior_mean_greedy(
    family: Family,
    *,
    prior: MDPPrior | None = None,
    epsilon: float = 0.0,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Plays the optimum of the posterior's mean rewards and transitions.

    It never explores on purpose. With a prior that promises enough of what it has not
    tried, it does so all the same.

    Source: certainty equivalence; Kumar and Varaiya 1986, "Stochastic Systems", Chapter
    12. `beb` with scale 0 is the same with a bonus on rewards.

    Args:
        family: with integer observations.
        prior: as in `psrl`.
        epsilon: probability that a step's action is drawn uniformly instead.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers, the prior is not proper or epsilon
            is not a probability.
    """
    prior = chosen_prior(family, prior)

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        del key, previous
        belief = posterior(prior, statistics)
        return optimal_plan(
            statistics, belief.reward_mean, belief.transitions, family.horizon
        )

    return planned_policy(
        family,
        plan,
        last_transition=last_transition,
        epsilon=epsilon,
        random_ties=random_ties,
    )


@register("mle_greedy")
def mle_greedy(
    family: Family,
    *,
    epsilon: float = 0.0,
    last_transition: bool = True,
    random_ties: bool = False,
) -> Algorithm:
    """Plays the optimum of what was seen: averages, and 0 and chance where nothing was.

    Source: Osband's TabulaRL (`EpsilonGreedy`), the greedy and ε-greedy of RL² (Duan et
    al. 2016, arXiv 1611.02779, Table 2): a prior of weight 1e-4.

    Args:
        family: with integer observations.
        epsilon: probability that a step's action is drawn uniformly instead.
        last_transition: as in `mdp_statistics.count_step`.
        random_ties: as in `tabular_policy.table_policy`.

    Raises:
        ValueError: if observations are not integers or epsilon is not a probability.
    """
    return posterior_mean_greedy(
        family,
        prior=NO_PRIOR,
        epsilon=epsilon,
        last_transition=last_transition,
        random_ties=random_ties,
    )
