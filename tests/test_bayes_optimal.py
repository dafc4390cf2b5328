"""The exact optimum of Bernoulli bandits: known values, brute force, least regret."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from icrl import algorithms
from icrl.algorithms.bandits.bayes_optimal import bayes_optimal_regret, optimum
from icrl.rollout import rollout


def bandits(num_arms, horizon, **changes):
    name = "BernoulliBandit-Lin2023-v0"
    return envs.family(name, num_arms=num_arms, horizon=horizon, **changes)


@functools.cache
def plain_value(untouched, touched, left):
    """Backward induction on what matters: how many arms are alike. Beta(1, 1) arms.

    `touched` holds (wins, losses) of the arms pulled so far, sorted.
    """
    if left == 0:
        return 0.0

    def pull(wins, losses, untouched, others):
        win, loss = (
            plain_value(untouched, tuple(sorted((*others, arm))), left - 1)
            for arm in ((wins + 1, losses), (wins, losses + 1))
        )
        mean = (1 + wins) / (2 + wins + losses)
        return mean * (1 + win) + (1 - mean) * loss

    options = [pull(0, 0, untouched - 1, touched)] if untouched else []
    for place in range(len(touched)):
        rest = touched[:place] + touched[place + 1 :]
        options.append(pull(*touched[place], untouched, rest))
    return max(options)


# Our own exact values: gtrxl.md of our notes, Section 3.6 (n = 10, 20, 100 pulls).
VALUES = [(2, 10, 6.0218), (5, 10, 6.6600), (2, 20, 12.4313), (2, 100, 64.9184)]


@pytest.mark.parametrize(("arms", "horizon", "value"), VALUES)
def test_known_values(arms, horizon, value):
    assert optimum(arms, horizon, 1.0, 1.0).value == pytest.approx(value, abs=5e-5)


def test_known_regret():
    assert bayes_optimal_regret(bandits(2, 200)) == pytest.approx(2.2393, abs=5e-5)


@pytest.mark.parametrize(("arms", "horizon"), [(2, 12), (3, 10), (4, 8), (5, 8)])
def test_the_table_agrees_with_plain_recursion(arms, horizon):
    exact = plain_value(arms, (), horizon)
    assert optimum(arms, horizon, 1.0, 1.0).value == pytest.approx(exact, abs=1e-12)


def test_more_than_ten_arms_are_of_no_use_in_ten_pulls():
    assert plain_value(10, (), 10) == pytest.approx(6.7140, abs=5e-5)
    assert plain_value(50, (), 10) == plain_value(10, (), 10)


def test_another_prior_moves_the_value():
    """Beta(2, 1) and one arm: nothing to decide, each pull pays 2/3."""
    assert optimum(1, 9, 2.0, 1.0).value == pytest.approx(6.0)


@pytest.mark.usefixtures("optimised")
def test_its_stated_regret_is_its_measured_one_and_the_least():
    family = bandits(2, 50)
    exact = bayes_optimal_regret(family)
    agents = {
        "bayes_optimal": {},
        "bayes_ucb": {},
        "gittins": {},
        "kl_ucb": {},
        "posterior_mean": {},
        "thompson_sampling": {},
        "ucb": {"form": "shrunken"},
    }

    @functools.partial(jax.jit, static_argnums=0)
    def regrets(name):
        algorithm = algorithms.make(name, family, **agents[name])

        def play(key):
            task_key, noise, agent = jax.random.split(key, 3)
            task = family.sample(task_key)
            return rollout(noise, agent, task, algorithm).gap.sum()

        return jax.vmap(play)(jax.random.split(jax.random.key(0), 20_000))

    for name in agents:
        found = np.asarray(regrets(name))
        z = (found.mean() - exact) / (found.std() / len(found) ** 0.5)
        assert z > -3, (name, z)
        if name == "bayes_optimal":
            assert z < 3, z


def test_past_the_horizon_it_plays_the_best_mean():
    family = bandits(2, 3)
    algorithm = algorithms.bayes_optimal(family)
    state = algorithm.init()._replace(
        pulls=jnp.asarray([2.0, 1.0]), total=jnp.asarray([0.0, 1.0])
    )
    probabilities = algorithm.action_probabilities
    assert probabilities is not None
    np.testing.assert_array_equal(probabilities(state, None), [0, 1])


def test_what_is_too_large_is_refused():
    with pytest.raises(ValueError, match=r"5 arms, 200 steps: \d+ states"):
        algorithms.bayes_optimal(bandits(5, 200))
