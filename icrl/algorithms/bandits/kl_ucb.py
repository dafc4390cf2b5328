"""KL-UCB: the upper confidence bound that a likelihood ratio gives."""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from envs.base import Family, require
from envs.bernoulli_bandit import BernoulliBanditFamily
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

_BISECTIONS = 24  # halvings of [mean, 1]: the resolution of float32


@register("kl_ucb")
def kl_ucb(
    family: Family, *, log_log_weight: float = 0.0, noise_std: float | None = None
) -> Algorithm:
    """Plays the arm with the highest mean that its data leave credible.

    The bound of an arm pulled n times in t pulls of all arms is the largest q with

        n d(mean, q) ≤ ln t + log_log_weight ln ln t

    where d is the Kullback-Leibler divergence: of Bernoulli distributions for a
    Bernoulli family, else of normal distributions, for which q has a closed form. An
    arm never pulled comes first; ties go to the lowest arm.

    Source: Garivier and Cappé 2011, arXiv 1102.2490, Algorithm 1 (their c is our
    `log_log_weight`; 3 in the theorem, 0 advised in practice).

    Args:
        family: what it plays.
        log_log_weight: weight of the second term; t below 3 counts as e there.
        noise_std: of normal rewards, in reward units; the family's own if not given.
            Unused for a Bernoulli family.

    Raises:
        ValueError: if a value is negative, the family has no `noise_std` and none is
            given, or it is no bandit.
    """
    require_bandit("kl_ucb", family)
    require(log_log_weight >= 0, "log_log_weight must not be negative", log_log_weight)
    bernoulli = isinstance(family, BernoulliBanditFamily)
    if noise_std is None and not bernoulli:
        noise_std = getattr(family, "noise_std", None)
    require(bernoulli or noise_std is not None, "noise_std must be given", noise_std)
    require((noise_std or 0) >= 0, "noise_std must not be negative", noise_std)

    def index(state: ArmStatistics, obs) -> Float[Array, " arms"]:
        del obs
        log_t = jnp.log(jnp.maximum(state.pulls.sum(), 1.0))
        log_log_t = jnp.log(jnp.maximum(log_t, 1.0))
        level = (log_t + log_log_weight * log_log_t) / jnp.maximum(state.pulls, 1.0)
        mean = empirical_means(state)
        if bernoulli:
            bound = bernoulli_bound(mean, level)
        else:
            bound = mean + (noise_std or 0.0) * jnp.sqrt(2 * level)
        return jnp.where(state.pulls > 0, bound, jnp.inf)

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )


def bernoulli_bound(
    mean: Float[Array, " arms"], level: Float[Array, " arms"]
) -> Float[Array, " arms"]:
    """The largest q in [mean, 1] with d(mean, q) ≤ level, by bisection."""

    def halve(_, bracket):
        low, high = bracket
        q = (low + high) / 2
        credible = _divergence(mean, q) <= level
        return jnp.where(credible, q, low), jnp.where(credible, high, q)

    start = (mean, jnp.ones_like(mean))
    return jax.lax.fori_loop(0, _BISECTIONS, halve, start)[0]


def _divergence(p: Float[Array, " arms"], q: Float[Array, " arms"]) -> Array:
    """KL(Bernoulli(p), Bernoulli(q)), infinite where q excludes what p allows."""
    return xlogy(p, p) - xlogy(p, q) + xlogy(1 - p, 1 - p) - xlogy(1 - p, 1 - q)
