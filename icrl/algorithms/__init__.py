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
from icrl.algorithms.annealed_optimal import annealed_optimal
from icrl.algorithms.bandits.bayes_optimal import bayes_optimal, bayes_optimal_regret
from icrl.algorithms.bandits.bayes_ucb import bayes_ucb
from icrl.algorithms.bandits.empirical_mean import empirical_mean
from icrl.algorithms.bandits.epsilon_greedy import epsilon_greedy
from icrl.algorithms.bandits.gittins import gittins
from icrl.algorithms.bandits.kl_ucb import kl_ucb
from icrl.algorithms.bandits.lcb import lcb
from icrl.algorithms.bandits.posterior_mean import posterior_mean
from icrl.algorithms.bandits.thompson_sampling import (
    exact_posterior_sampling,
    thompson_sampling,
)
from icrl.algorithms.bandits.ucb import ucb
from icrl.algorithms.base import Algorithm, most_likely, require_family
from icrl.algorithms.context_mixture import PAPER_WEIGHTS, dirichlet_point_mass
from icrl.algorithms.dark_room.goal_posterior import (
    exact_goal_posterior,
    exact_permutation_posterior,
)
from icrl.algorithms.dark_room.snake_sweep import snake_sweep
from icrl.algorithms.linear.linear_thompson import linear_thompson
from icrl.algorithms.linear.linucb import linucb, ridge_greedy
from icrl.algorithms.mdp.beb import beb, ucb_vi_posterior
from icrl.algorithms.mdp.behaviour_cloning import behaviour_cloning
from icrl.algorithms.mdp.posterior_mean_greedy import mle_greedy, posterior_mean_greedy
from icrl.algorithms.mdp.psrl import optimistic_psrl, psrl
from icrl.algorithms.mdp.q_learning import q_learning, ucb_q_learning
from icrl.algorithms.mdp.rlsvi import rlsvi
from icrl.algorithms.mdp.ucb_vi import ucb_vi
from icrl.algorithms.mdp.ucrl2 import ucrl2
from icrl.algorithms.mdp.vi_lcb import vi_lcb
from icrl.algorithms.mixture import mixture
from icrl.algorithms.optimal import optimal
from icrl.algorithms.uniform import uniform

AGENTS: dict[str, Callable[..., Algorithm]] = {
    "bayes_optimal": bayes_optimal,
    "bayes_ucb": bayes_ucb,
    "beb": beb,
    "behaviour_cloning": behaviour_cloning,
    "dirichlet_point_mass": dirichlet_point_mass,
    "empirical_mean": empirical_mean,
    "epsilon_greedy": epsilon_greedy,
    "exact_goal_posterior": exact_goal_posterior,
    "exact_permutation_posterior": exact_permutation_posterior,
    "exact_posterior_sampling": exact_posterior_sampling,
    "gittins": gittins,
    "kl_ucb": kl_ucb,
    "lcb": lcb,
    "linear_thompson": linear_thompson,
    "linucb": linucb,
    "mle_greedy": mle_greedy,
    "optimistic_psrl": optimistic_psrl,
    "posterior_mean": posterior_mean,
    "posterior_mean_greedy": posterior_mean_greedy,
    "psrl": psrl,
    "q_learning": q_learning,
    "ridge_greedy": ridge_greedy,
    "rlsvi": rlsvi,
    "snake_sweep": snake_sweep,
    "thompson_sampling": thompson_sampling,
    "ucb": ucb,
    "ucb_q_learning": ucb_q_learning,
    "ucb_vi": ucb_vi,
    "ucb_vi_posterior": ucb_vi_posterior,
    "ucrl2": ucrl2,
    "uniform": uniform,
    "vi_lcb": vi_lcb,
}


def make(name: str, family: Family, **options: Any) -> Algorithm:
    """The algorithm of that name for a family.

    `optimal` and `annealed_optimal` are not among them: they are made from a task.

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
    "annealed_optimal",
    "bayes_optimal",
    "bayes_optimal_regret",
    "bayes_ucb",
    "beb",
    "behaviour_cloning",
    "dirichlet_point_mass",
    "empirical_mean",
    "epsilon_greedy",
    "exact_goal_posterior",
    "exact_permutation_posterior",
    "exact_posterior_sampling",
    "gittins",
    "kl_ucb",
    "lcb",
    "linear_thompson",
    "linucb",
    "make",
    "mixture",
    "mle_greedy",
    "most_likely",
    "optimal",
    "optimistic_psrl",
    "posterior_mean",
    "posterior_mean_greedy",
    "psrl",
    "q_learning",
    "require_family",
    "ridge_greedy",
    "rlsvi",
    "snake_sweep",
    "thompson_sampling",
    "ucb",
    "ucb_q_learning",
    "ucb_vi",
    "ucb_vi_posterior",
    "ucrl2",
    "uniform",
    "vi_lcb",
]
