"""In-context algorithms that are written by hand: experts and baselines.

    family = envs.family("LinearBandit-Lin2023-v0")
    learner = algorithms.make("linucb", family, width=2.0)

Each is one file with one factory, which takes the family first.
"""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from envs.base import Family
from icrl.algorithms.base import Algorithm, most_likely, require_family
from icrl.algorithms.bayes_optimal import bayes_optimal, bayes_optimal_regret
from icrl.algorithms.bayes_ucb import bayes_ucb
from icrl.algorithms.context_mixture import PAPER_WEIGHTS, dirichlet_point_mass
from icrl.algorithms.empirical_mean import empirical_mean
from icrl.algorithms.epsilon_greedy import epsilon_greedy
from icrl.algorithms.gittins import gittins
from icrl.algorithms.kl_ucb import kl_ucb
from icrl.algorithms.lcb import lcb
from icrl.algorithms.linear_thompson import linear_thompson
from icrl.algorithms.linucb import linucb, ridge_greedy
from icrl.algorithms.mixture import mixture
from icrl.algorithms.optimal import optimal
from icrl.algorithms.posterior_mean import posterior_mean
from icrl.algorithms.thompson_sampling import (
    exact_posterior_sampling,
    thompson_sampling,
)
from icrl.algorithms.ucb import ucb
from icrl.algorithms.uniform import uniform

AGENTS: dict[str, Callable[..., Algorithm]] = {
    "bayes_optimal": bayes_optimal,
    "bayes_ucb": bayes_ucb,
    "dirichlet_point_mass": dirichlet_point_mass,
    "empirical_mean": empirical_mean,
    "epsilon_greedy": epsilon_greedy,
    "exact_posterior_sampling": exact_posterior_sampling,
    "gittins": gittins,
    "kl_ucb": kl_ucb,
    "lcb": lcb,
    "linear_thompson": linear_thompson,
    "linucb": linucb,
    "posterior_mean": posterior_mean,
    "ridge_greedy": ridge_greedy,
    "thompson_sampling": thompson_sampling,
    "ucb": ucb,
    "uniform": uniform,
}


def make(name: str, family: Family, **options: Any) -> Algorithm:
    """The algorithm of that name for a family.

    `optimal` is not among them: it is made from a task, not from a family.

    Raises:
        ValueError: if there is no such algorithm (with suggestions), it has no such
            option, or an option breaks its rule.
    """
    if name not in AGENTS:
        close = difflib.get_close_matches(name, AGENTS, cutoff=0.4) or sorted(AGENTS)
        raise ValueError(f"no algorithm {name!r}; did you mean {', '.join(close)}?")
    known = list(inspect.signature(AGENTS[name]).parameters)[1:]
    for option in options:
        if option not in known:
            raise ValueError(
                f"{name} has no option {option!r}; "
                f"its options are {', '.join(known) or 'none'}"
            )
    return AGENTS[name](family, **options)


__all__ = [
    "AGENTS",
    "PAPER_WEIGHTS",
    "Algorithm",
    "bayes_optimal",
    "bayes_optimal_regret",
    "bayes_ucb",
    "dirichlet_point_mass",
    "empirical_mean",
    "epsilon_greedy",
    "exact_posterior_sampling",
    "gittins",
    "kl_ucb",
    "lcb",
    "linear_thompson",
    "linucb",
    "make",
    "mixture",
    "most_likely",
    "optimal",
    "posterior_mean",
    "require_family",
    "ridge_greedy",
    "thompson_sampling",
    "ucb",
    "uniform",
]
