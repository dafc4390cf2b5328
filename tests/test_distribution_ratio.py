"""The distribution ratio: known values, and estimates that know when they are none."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import envs
from envs.splits import split_prior
from icrl import algorithms
from icrl.agents import Agent, fixed
from icrl.diagnostics.distribution_ratio import (
    departure_step,
    log_ratios,
    measured_departure,
    ratio,
)

KEY = jax.random.key(0)


def bandit(horizon, num_arms=5):
    return envs.family("BernoulliBandit-Lin2023-v0", horizon=horizon, num_arms=num_arms)


@functools.cache
def thompson_against(context):
    """Log ratios of Thompson sampling's histories, 200 steps of 150 tasks."""
    family = bandit(200)
    thompson, uniform = algorithms.thompson_sampling(family), algorithms.uniform(family)
    other = {
        "uniform": uniform,
        "mixture": algorithms.mixture([thompson, uniform], [0.5, 0.5]),
    }[context]
    tasks = split_prior(family).test
    return log_ratios(KEY, tasks, fixed(thompson), fixed(other), num_tasks=150)[0]


def to_mixture(log_ratios, share):
    """Log ratios to a mixture of Alg_1 and Alg_2, from those to Alg_2."""
    return -np.log(share + (1 - share) * np.exp(-log_ratios.astype(np.float64)))


@functools.cache
def first_is_better(wins, losses):
    """P(Beta arm 0 > Beta arm 1) from uniform priors, for two arms' counts."""
    arms = [scipy.stats.beta(1 + w, 1 + n) for w, n in zip(wins, losses, strict=True)]
    return scipy.integrate.quad(lambda x: arms[0].pdf(x) * arms[1].cdf(x), 0, 1)[0]


def thompson_history(history):
    """Probabilities of the actions, and of the rewards given them, of one history."""
    wins, losses, actions, rewards = [0, 0], [0, 0], 1.0, 1.0
    for arm, reward in history:
        first = first_is_better(tuple(wins), tuple(losses))
        actions *= (first, 1 - first)[arm]
        mean = (1 + wins[arm]) / (2 + wins[arm] + losses[arm])
        rewards *= mean if reward else 1 - mean
        (wins if reward else losses)[arm] += 1
    return actions, rewards


def test_the_ratio_of_short_histories_is_that_of_their_enumeration():
    """All 64 histories of three pulls of two arms, with scipy's Thompson sampling."""
    exact, kl = 0.0, 0.0
    for history in itertools.product(itertools.product((0, 1), repeat=2), repeat=3):
        actions, rewards = thompson_history(history)
        exact += actions * rewards * actions / 0.5**3
        kl += actions * rewards * np.log(actions / 0.5**3)
    family = bandit(3, num_arms=2)
    thompson = fixed(algorithms.thompson_sampling(family))
    uniform = fixed(algorithms.uniform(family))
    tasks = split_prior(family).test
    logs = log_ratios(KEY, tasks, thompson, uniform, num_tasks=4000)
    found = ratio(logs[0])
    assert exact > 1.3 and found.trusted.all()
    assert abs(found.value[-1] - exact) < 4 * found.std_error[-1] < 0.03 * exact
    assert abs(found.kl[-1] - kl) < 4 * logs[0, :, -1].std() / 4000**0.5


def test_an_algorithm_has_ratio_one_to_itself():
    family = bandit(10)
    greedy = fixed(algorithms.epsilon_greedy(family))
    tasks = split_prior(family).test
    logs = log_ratios(KEY, tasks, greedy, greedy, num_tasks=100)
    assert logs.shape == (1, 100, 10) and np.all(logs == 0)
    found = ratio(logs[0])
    assert np.all(found.value == 1) and np.all(found.std_error == 0)
    assert np.all(found.kl == 0) and np.all(found.effective_sample_size == 100)
    assert found.trusted.all()


@pytest.mark.usefixtures("optimised")
def test_the_probability_of_a_mixture_is_that_of_whole_trajectories():
    expected = to_mixture(thompson_against("uniform"), 0.5)
    np.testing.assert_allclose(thompson_against("mixture"), expected, atol=1e-3)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_ratio_to_a_mixture_saturates_at_one_over_its_share(share):
    logs = to_mixture(thompson_against("uniform"), share)
    found = ratio(thompson_against("mixture") if share == 0.5 else logs)
    assert found.value[-1] == pytest.approx(1 / share, rel=1e-3)
    assert found.kl[-1] == pytest.approx(-np.log(share), abs=1e-3)
    assert found.value.max() <= (1 + 1e-4) / share
    error = found.std_error[1:] + found.std_error[:-1]
    assert np.all(np.diff(found.value) > -4 * error - 1e-4)  # it never falls
    assert found.trusted[-1]


def test_on_uniform_contexts_only_the_divergence_is_known():
    """R is beyond counting; the nats are of 6,000 other tasks."""
    logs = thompson_against("uniform")
    found = ratio(logs)
    for steps, nats in ((10, 2.34), (20, 8.17), (50, 34.0), (100, 87.7), (200, 209.6)):
        error = logs[:, steps - 1].std() / 150**0.5
        assert abs(found.kl[steps - 1] - nats) < 4 * error < 0.35 * nats
    assert found.trusted[0] and not found.trusted[9:].any()
    assert np.all(np.log(found.value) >= found.kl - 1e-6)


def test_a_model_should_leave_thompson_sampling_after_25_uniform_pulls():
    found = ratio(thompson_against("uniform"))
    assert departure_step(found.kl, 80_000) in (24, 25, 26)
    assert departure_step(found.kl, 1000) in (18, 19, 20)


def test_the_step_of_departure_counts_from_one():
    kl = np.array([0.5, 1.0, 2.5, 4.0])
    assert departure_step(kl, 10) == 3  # ln 10 = 2.3
    assert departure_step(kl, 1) == 1
    assert departure_step(kl, 100) is None
    with pytest.raises(ValueError, match="num_trajectories must be at least 1, got 0"):
        departure_step(kl, 0)


def test_every_seed_plays_its_own_histories():
    family = bandit(4, num_arms=2)

    def constant(probabilities):
        return algorithms.Algorithm(
            init=tuple,
            act=lambda key, state, obs: (
                state,
                jax.random.choice(key, 2, p=probabilities),
            ),
            update=lambda state, *_: state,
            action_probabilities=lambda state, obs: probabilities,
        )

    models = jnp.array([[1.0, 0.0], [0.5, 0.5]])
    agent = Agent(lambda model, task: constant(model), models)
    uniform = fixed(algorithms.uniform(family))
    tasks = split_prior(family).test
    logs = log_ratios(KEY, tasks, agent, uniform, num_tasks=3)
    steps = np.broadcast_to(np.arange(1, 5), (3, 4))
    np.testing.assert_allclose(logs[0], np.log(2) * steps, rtol=1e-6)
    np.testing.assert_allclose(logs[1], 0, atol=1e-6)
    with pytest.raises(ValueError, match="the denominator must be an algorithm"):
        log_ratios(KEY, tasks, uniform, agent, num_tasks=3)


def test_trusted_estimates_of_heavy_weights_are_near_the_truth():
    """Log-normal weights of mean 1, from even to hopeless."""
    random = np.random.default_rng(0)
    widths = np.repeat(np.linspace(0, 5, 26), 40)  # nats
    normal = random.normal(size=(2000, widths.size))
    found = ratio(widths * normal - widths**2 / 2)
    near = abs(found.value - 1) < 0.3
    assert found.trusted[widths < 1].all() and not found.trusted[widths > 3.5].any()
    assert near[found.trusted].mean() > 0.98 and near[~found.trusted].mean() < 0.5


def test_enormous_ratios_stay_finite():
    found = ratio(np.array([[900.0, 400.0], [0.0, 399.0]]))
    assert np.isfinite(found.value).all() and np.isfinite(found.std_error).all()
    assert np.isclose(np.log(found.value[1]), 400 + np.log((1 + np.exp(-1)) / 2))
    assert found.kl.tolist() == [450.0, 399.5] and not found.trusted.any()
    with pytest.raises(ValueError, match="at least 2 tasks, got 1"):
        ratio(np.zeros((1, 3)))


def distances(*curve, tasks=50):
    return np.broadcast_to(np.array(curve), (2, tasks, len(curve)))


def test_an_agent_has_left_where_it_does_not_come_back():
    yardstick = distances(0.1, 0.1, 0.1, 0.1, 0.1)
    found = measured_departure(distances(0.3, 0.1, 0.15, 0.3, 0.4), yardstick)
    assert tuple(found) == (3.0, 3.0, 3.0)  # not at 0, from where it came back
    assert measured_departure(distances(0.3, 0.3, 0.3, 0.3, 0.3), yardstick).step == 0
    never = measured_departure(distances(0.3, 0.3, 0.3, 0.3, 0.2), yardstick)
    assert np.isnan(never.step) and never.low == never.high == 5
    with pytest.raises(ValueError, match=r"factor must be above 1, got 1\.0"):
        measured_departure(yardstick, yardstick, factor=1.0)


def test_tasks_that_disagree_widen_the_interval_of_the_departure():
    early, late = distances(0.0, 0.4, 0.4), distances(0.0, 0.0, 0.4)
    mixed = np.concatenate([early[:, :25], late[:, :25]], axis=1)
    found = measured_departure(mixed, distances(0.1, 0.1, 0.1))
    assert found.low == 1 and found.high == 2
