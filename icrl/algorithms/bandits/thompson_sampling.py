"""Thompson sampling with independent arms."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Family, require
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.gaussian_bandit import GaussianBanditFamily
from envs.linear_bandit import LinearBanditFamily
from icrl.algorithms import posteriors
from icrl.algorithms.base import Algorithm, require_prior
from icrl.algorithms.linear.linear_thompson import linear_thompson
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics, update_statistics
from icrl.algorithms.registry import register


@register("thompson_sampling")
def thompson_sampling(
    family: Family,
    *,
    posterior: posteriors.Posterior | None = None,
    num_draws: int = 1,
) -> Algorithm:
    """Draws every arm's mean from its posterior and plays the largest.

    Without a posterior it is the papers' baseline: Beta(1, 1) for Bernoulli arms,
    N(1/2, 1/12) for Gaussian ones, and N(0, 1) for each arm of a linear bandit, whose
    features it ignores. `exact_posterior_sampling` uses the family's own prior.

    Source: Agrawal and Goyal 2012, arXiv 1111.1797, Algorithm 1; Lee et al. 2023, arXiv
    2306.14892, appendix, for the Gaussian priors.

    Args:
        family: what it plays.
        posterior: the belief about the arms.
        num_draws: with more than 1, that many sets of means are drawn and the arm that
            is largest most often is played (ties go to the lowest), as DPT's code does
            offline, with 100. `action_probabilities` is there only for 1.

    Raises:
        ValueError: if `num_draws` is below 1, or none of the defaults fits the family.
    """
    require(num_draws >= 1, "num_draws must be at least 1", num_draws)
    posterior = posterior or _papers_posterior(family)

    def act(
        key: jax.Array, state: ArmStatistics, obs: Any
    ) -> tuple[ArmStatistics, Array]:
        del obs
        if num_draws == 1:
            return state, jnp.argmax(posterior.sample(key, state))
        keys = jax.random.split(key, num_draws)
        means = jax.vmap(posterior.sample, (0, None))(keys, state)
        wins = jax.nn.one_hot(jnp.argmax(means, axis=-1), family.num_actions)
        return state, jnp.argmax(wins.sum(0))

    def action_probabilities(state: ArmStatistics, obs: Any):
        del obs
        return posterior.best_arm_probabilities(state)

    return Algorithm(
        init=posterior.init,
        act=act,
        update=update_statistics,
        action_probabilities=action_probabilities if num_draws == 1 else None,
    )


@register("exact_posterior_sampling")
def exact_posterior_sampling(family: Family, *, rough: bool = False) -> Algorithm:
    """Thompson sampling with the family's own prior and noise: what an ideal DPT does.

    Source: Lee et al. 2023, arXiv 2306.14892, Theorem 1.

    Args:
        family: what it plays.
        rough: for labels: draws and probabilities are 3 to 4 times faster, and
            off by little; see `posteriors.Posterior`.

    Raises:
        ValueError: if the posterior of the family has no closed form.
    """
    if isinstance(family, LinearBanditFamily):
        require_prior("exact_posterior_sampling", family, LinearBanditFamily)
        require(
            family.theta_prior == "normal",
            "exact posterior sampling of a linear bandit needs theta_prior 'normal'",
            repr(family.theta_prior),
        )
        return linear_thompson(family, num_nodes=64 if rough else 1024)
    posterior = posteriors.exact(family)
    if rough and posterior.rough is not None:
        posterior = posterior.rough
    return thompson_sampling(family, posterior=posterior)


def _papers_posterior(family: Family) -> posteriors.Posterior:
    if isinstance(family, BernoulliBanditFamily):
        return posteriors.beta(family)
    if isinstance(family, GaussianBanditFamily):
        return posteriors.gaussian(family)
    if isinstance(family, LinearBanditFamily):
        return posteriors.gaussian(family, prior_mean=0.0, prior_variance=1.0)
    raise ValueError(
        "thompson_sampling needs a posterior= for a family without a published prior "
        "(exact_posterior_sampling takes the family's own, where it states one), got "
        f"{type(family).__name__} ({family.name or 'unnamed'})"
    )
