"""The Bayes-greedy rule: the best arm in expectation, now."""

from envs.base import Family
from icrl.algorithms import posteriors
from icrl.algorithms.base import Algorithm
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.arm_statistics import update_statistics
from icrl.algorithms.registry import register


@register("posterior_mean")
def posterior_mean(
    family: Family,
    *,
    posterior: posteriors.Posterior | None = None,
    random_ties: bool = False,
) -> Algorithm:
    """Plays the arm of highest posterior mean; ties go to the lowest arm.

    Optimal for the last step, and for choosing an arm from data under its prior.

    Args:
        family: what it plays.
        posterior: the belief about the arms; the family's exact one if not given.
        random_ties: whether tied arms are equally likely instead. It matters for
            Bernoulli arms, where an arm with as many wins as losses ties with one never
            pulled: with five arms and 200 steps regret is 13.3 instead of 14.8.

    Raises:
        ValueError: if none is given and the family has no exact posterior.
    """
    posterior = posterior or posteriors.exact(family)
    return index_policy(
        family,
        init=posterior.init,
        index=lambda state, obs: posterior.mean(state),
        update=update_statistics,
        random_ties=random_ties,
    )
