"""Lai and Robbins' bound, and its average over a uniform prior."""

import jax
import numpy as np

from envs import registry
from icrl import algorithms, evaluation
from icrl.theory.lai_robbins import bayes_regret_asymptote, lai_robbins


def test_the_bound_of_two_known_arms_is_gap_over_divergence():
    found = lai_robbins(np.array([0.5, 0.75]), np.array([1, 100]))
    divergence = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    np.testing.assert_allclose(found, [0.0, 0.25 / divergence * np.log(100)])


def test_equal_arms_cost_nothing():
    assert lai_robbins(np.full((3, 4), 0.3), np.array([50])).tolist() == [[0.0]] * 3


def test_the_constant_of_the_uniform_prior_is_what_the_integral_gives():
    """The sum over arms of the density of the gap at 0, weighted by μ*(1 - μ*)."""
    rng = np.random.default_rng(0)
    arms, width = 5, 0.02
    means = np.sort(rng.random((400_000, arms)), axis=-1)
    best, gaps = means[:, -1:], means[:, -1:] - means[:, :-1]
    weights = np.where(gaps < width, best * (1 - best), 0.0).sum(-1) / width
    error = weights.std() / np.sqrt(len(weights))
    expected = (arms - 1) / (arms + 1)
    assert abs(weights.mean() - expected) < 4 * error + 3 * width
    asymptote = bayes_regret_asymptote(arms, np.array([np.e]))
    np.testing.assert_allclose(asymptote, expected / 2)


def test_a_good_algorithm_s_regret_grows_as_fast_as_the_bound_says():
    """The slope over ln t of KL-UCB in one bandit, from 1000 to 4000 pulls."""
    family = registry.family("BernoulliBandit-Lin2023-v0", horizon=4000, num_arms=2)
    task = family.task([0.5, 0.8])

    class Only:
        def sample(self, key):
            return jax.tree.map(lambda leaf: leaf, task)

    regrets = evaluation.online(
        jax.random.key(0),
        Only(),
        {"kl_ucb": evaluation.fixed(algorithms.kl_ucb(family))},
        num_tasks=400,
    )["kl_ucb"][0]
    times = np.array([1000, 4000])
    grown = regrets[:, times[1] - 1] - regrets[:, times[0] - 1]
    bound = np.diff(lai_robbins(np.array([0.5, 0.8]), times))[0]
    error = grown.std() / np.sqrt(len(grown))
    assert abs(grown.mean() - bound) < 3 * error + 0.35 * bound
