"""What an agent of bandits may turn out to be."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from envs.base import Family, Scalar
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.gaussian_bandit import GaussianBanditFamily
from envs.linear_bandit import LinearBanditFamily
from icrl import algorithms
from icrl.algorithms import posteriors
from icrl.algorithms.bandits.ucb import FORMS
from icrl.algorithms.base import Algorithm, require_family

GRID = tuple(2.0**k for k in range(-5, 4))  # reward units
OF_BANDITS = (BernoulliBanditFamily, GaussianBanditFamily, LinearBanditFamily)
Belief = Callable[..., posteriors.Posterior]


class Candidate(NamedTuple):
    """An algorithm that an agent may be.

    Attributes:
        name: of the algorithm.
        make: `parameter -> Algorithm`, called with a number that JAX traces; without a
            grid, `() -> Algorithm`. It is compiled once: pass the same candidate again
            rather than one made anew.
        grid: first values of the parameter to try: two or more, positive, increasing.
    """

    name: str
    make: Callable[..., Algorithm]
    grid: tuple[float, ...] = ()


def candidates(family: Family) -> tuple[Candidate, ...]:
    """The algorithms for a family of bandits with closed-form action probabilities.

    The parameter of UCB and LinUCB is their `width`, that of Thompson sampling its
    `noise_std`, of the noise that it assumes; both in reward units.

    Raises:
        ValueError: if the family's tasks are no bandits.
    """
    require_family("recognition", family, *OF_BANDITS)
    plain = functools.partial(_without_parameter, family)
    if isinstance(family, LinearBanditFamily):
        return (*map(plain, ("uniform", "empirical_mean")), *_linear(family))
    names = ["uniform", "empirical_mean"]
    if posteriors.is_stated(family):
        names.append("posterior_mean")
    beliefs: dict[str, Belief] = {"gaussian": posteriors.gaussian}
    if isinstance(family, BernoulliBanditFamily):
        names.append("thompson_sampling")  # Beta(1, 1)
    else:
        beliefs["uniform_prior"] = posteriors.uniform_prior
    return (
        *map(plain, names),
        *(_ucb(family, form) for form in FORMS),
        *(_thompson(family, name, belief) for name, belief in beliefs.items()),
    )


def _without_parameter(family: Family, name: str) -> Candidate:
    return Candidate(name, functools.partial(algorithms.make, name, family))


def _ucb(family: Family, form: str) -> Candidate:
    def make(width: Scalar) -> Algorithm:
        return algorithms.ucb(family, form=form, width=width)

    return Candidate(f"ucb_{form}", make, GRID)


def _thompson(family: Family, name: str, belief: Belief) -> Candidate:
    def make(noise_std: Scalar) -> Algorithm:
        posterior = belief(family, noise_std=noise_std)
        return algorithms.thompson_sampling(family, posterior=posterior)

    return Candidate(f"thompson_sampling_{name}", make, GRID)


def _linear(family: LinearBanditFamily) -> tuple[Candidate, ...]:
    def linucb(width: Scalar) -> Algorithm:
        return algorithms.linucb(family, width=width)

    def linear_thompson(noise_std: Scalar) -> Algorithm:
        # Its probabilities cost in proportion to the nodes. With these the total
        # variation to the truth is 0.02 in five dimensions; 20,000 actions of 1.5 are
        # read as 1.53.
        return algorithms.linear_thompson(family, noise_std=noise_std, num_nodes=128)

    return (
        _without_parameter(family, "ridge_greedy"),
        Candidate("linucb", linucb, GRID),
        Candidate("linear_thompson", linear_thompson, GRID),
    )
