"""What can be believed of a tabular MDP: Dirichlet rows and normal mean rewards."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, require
from envs.random_mdp import RandomMDPFamily
from icrl.algorithms.base import require_prior
from icrl.algorithms.posteriors.dirichlet import dirichlet
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics


class MDPPrior(NamedTuple):
    """Independent distributions of every row of transitions and every mean reward.

    The defaults are those of Osband's TabulaRL, which RL² compares itself with.
    """

    reward_mean: float = 0.0  # μ0, reward units
    reward_precision: float = 1.0  # τ0: one over the variance of mean rewards
    noise_precision: float = 1.0  # τ: one over the variance of the noise on rewards
    concentration: float = 1.0  # α0, of each row's symmetric Dirichlet distribution


# Nearly none: posterior means are averages of what was seen, and where nothing was, a
# mean reward of 0 and a uniform row.
NO_PRIOR = MDPPrior(reward_precision=1e-4, concentration=1e-4)


class MDPPosterior(NamedTuple):
    """The parameters of both distributions, for every state and action."""

    reward_mean: Float[Array, "*batch states actions"]
    reward_precision: Float[Array, "*batch states actions"]
    concentration: Float[Array, "*batch states actions states"]

    @property
    def transitions(self) -> Float[Array, "*batch states actions states"]:
        """Means of the rows."""
        return self.concentration / self.concentration.sum(-1, keepdims=True)


def true_prior(family: Family) -> MDPPrior:
    """The prior that a family of random MDPs draws from.

    Raises:
        ValueError: if it is another family, or its prior or noise is not normal.
    """
    require_prior("a prior of MDPs", family, RandomMDPFamily)
    assert isinstance(family, RandomMDPFamily)
    normal = family.reward_prior == "normal"
    require(normal, "reward_prior must be normal", repr(family.reward_prior))
    for name in ("reward_scale", "noise_std"):
        value = getattr(family, name)
        require(value > 0, f"{name} must be positive", value)
    return MDPPrior(
        reward_mean=family.reward_location,
        reward_precision=family.reward_scale**-2,
        noise_precision=family.noise_std**-2,
        concentration=family.concentration,
    )


def matched_prior(family: RandomMDPFamily) -> MDPPrior:
    """Normal, with the moments of a family's uniform distribution of mean rewards."""
    return MDPPrior(
        reward_mean=family.reward_location + family.reward_scale / 2,
        reward_precision=12 / family.reward_scale**2,
        noise_precision=family.noise_std**-2,
        concentration=family.concentration,
    )


def chosen_prior(family: Family, prior: MDPPrior | None) -> MDPPrior:
    """`prior`; if None, the family's own where it has one, else the default.

    Raises:
        ValueError: if a precision or the concentration is not positive.
    """
    if prior is None:
        try:
            return true_prior(family)
        except ValueError:
            return MDPPrior()
    for name in ("reward_precision", "noise_precision", "concentration"):
        value = getattr(prior, name)
        require(value > 0, f"{name} must be positive", value)
    return prior


def posterior(prior: MDPPrior, statistics: MDPStatistics) -> MDPPosterior:
    """What is believed after these statistics."""
    weight = prior.noise_precision
    precision = prior.reward_precision + weight * statistics.visits
    moment = prior.reward_precision * prior.reward_mean + weight * statistics.total
    return MDPPosterior(
        reward_mean=moment / precision,
        reward_precision=precision,
        concentration=prior.concentration + statistics.transitions,
    )


def sample_mdp(
    key: jax.Array, belief: MDPPosterior
) -> tuple[Float[Array, "states actions"], Float[Array, "states actions states"]]:
    """Draws mean rewards and transitions."""
    key_reward, key_move = jax.random.split(key)
    noise = jax.random.normal(key_reward, belief.reward_mean.shape)
    rewards = belief.reward_mean + noise / jnp.sqrt(belief.reward_precision)
    return rewards, dirichlet(key_move, belief.concentration)
