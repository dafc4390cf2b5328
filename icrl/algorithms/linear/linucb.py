"""LinUCB, optimism for linear bandits; without optimism, ridge regression."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, Scalar, TimeStep, require
from envs.linear_bandit import LinearBanditFamily
from icrl.algorithms.base import Algorithm, require_family
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.ridge import (
    RidgeState,
    ridge_norms,
    ridge_prior,
    ridge_scores,
    ridge_update,
)
from icrl.algorithms.registry import register


@register("linucb")
def linucb(
    family: Family,
    *,
    ridge: float = 1.0,
    width: Scalar = 1.0,
    first: str = "random",
    temperature: float = 0.0,
) -> Algorithm:
    """Plays the arm with the highest upper confidence bound; ties go to the lowest.

    The bound of an arm with features x is `x @ theta_hat + width * ||x||`, where
    `theta_hat` is the ridge estimate and the norm is that of the inverse Gram matrix.

    Source: Chu, Li, Reyzin and Schapire 2011, Algorithm 1, where α is our `width` and
    the ridge is 1. Lee et al. 2023 use width 1, Lin et al. 2023 width 2; the latter's
    theorem is about soft LinUCB: `first` "index" and a temperature.

    Args:
        family: what it plays; it knows the features of the arms on offer.
        ridge: weight of the prior.
        width: how many standard deviations of optimism, in reward units; 0 is greedy.
        first: the first action is uniformly "random", as in both papers' codes, or
            follows the "index".
        temperature: of the softmax of the bounds, reward units; 0 plays the highest.

    Raises:
        ValueError: if the family's arms have no features, `ridge` is not positive,
            `width` or `temperature` is negative, or `first` is neither.
    """
    require_family("linucb", family, LinearBanditFamily)
    assert isinstance(family, LinearBanditFamily)  # for type checkers
    require(ridge > 0, "ridge must be positive", ridge)
    require(width >= 0, "width must not be negative", width)
    require(
        first in ("random", "index"), "first must be one of random, index", repr(first)
    )

    def index(state: RidgeState, obs: Any) -> Float[Array, " arms"]:
        features = family.features(obs)
        if isinstance(width, float) and width == 0:  # the same, and cheaper
            return ridge_scores(state, features)
        return ridge_scores(state, features) + width * ridge_norms(state, features)

    def update(
        state: RidgeState, obs: Any, action: Array, timestep: TimeStep
    ) -> RidgeState:
        return ridge_update(state, family.features(obs)[action], timestep.reward)

    def exploration(state: RidgeState) -> Float[Array, ""]:
        return (state.num_observed == 0).astype(jnp.float32)

    return index_policy(
        family,
        init=lambda: ridge_prior(family.dim, ridge),
        index=index,
        update=update,
        exploration=exploration if first == "random" else None,
        temperature=temperature,
    )


@register("ridge_greedy")
def ridge_greedy(
    family: Family, *, ridge: float = 1.0, first: str = "random"
) -> Algorithm:
    """Plays the arm of highest ridge prediction: LinUCB of width 0.

    Source: LinReg of Lee et al. 2023, arXiv 2306.14892, appendix.

    Raises:
        ValueError: as `linucb`.
    """
    require_family("ridge_greedy", family, LinearBanditFamily)
    return linucb(family, ridge=ridge, width=0.0, first=first)
