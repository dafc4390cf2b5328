"""Whether predicted probabilities of the best arm come true."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.splits import split_prior
from icrl import algorithms
from icrl.agents import Agent, fixed
from icrl.diagnostics.calibration import calibration

FAMILY = envs.family("BernoulliBandit-Lin2023-v0", horizon=10, num_arms=3)
TASKS = split_prior(FAMILY).test
EXACT = algorithms.exact_posterior_sampling(FAMILY)


def measured(agent, histories=None, num_tasks=1000, **options):
    key = jax.random.key(0)
    return calibration(key, TASKS, agent, histories, num_tasks=num_tasks, **options)


def sharpened(power):
    """Exact posterior sampling that is too sure of its posterior."""

    def probabilities(state, obs):
        powers = EXACT.action_probabilities(state, obs) ** power
        return powers / powers.sum()

    return EXACT._replace(action_probabilities=probabilities)


def test_the_exact_posterior_is_calibrated_and_a_sharper_one_is_not():
    uniform = fixed(algorithms.uniform(FAMILY))
    exact = measured(fixed(EXACT), uniform)
    assert exact.expected_error < 0.015
    assert (
        np.mean((exact.low <= exact.prediction) & (exact.prediction <= exact.high))
        > 0.7
    )
    assert exact.share.sum() == pytest.approx(1)
    assert measured(fixed(sharpened(3.0)), uniform).expected_error > 0.06


def test_it_is_calibrated_on_its_own_histories_too():
    assert measured(fixed(EXACT)).expected_error < 0.02


def test_constant_probabilities_fall_into_one_bin_with_a_known_frequency():
    found = measured(fixed(algorithms.uniform(FAMILY)), num_bins=4, num_tasks=200)
    assert found.share.tolist() == [0, 1, 0, 0]
    assert found.prediction[1] == pytest.approx(1 / 3)
    assert found.frequency[1] == pytest.approx(1 / 3)  # one arm of three is best
    assert found.expected_error == pytest.approx(0, abs=1e-6)
    assert np.isnan(found.frequency[[0, 2, 3]]).all()


def always(arm):
    return algorithms.Algorithm(
        init=tuple,
        act=lambda key, state, obs: (state, arm),
        update=lambda state, *_: state,
        action_probabilities=lambda state, obs: jax.nn.one_hot(arm, 3),
    )


def test_all_training_seeds_enter():
    agent = Agent(lambda arm, task: always(arm), jnp.array([0, 2]))
    found = measured(agent, num_tasks=300)
    assert found.prediction[[0, -1]].tolist() == [0, 1]
    assert found.low[-1] < 1 / 3 < found.high[-1]
    assert found.expected_error == pytest.approx(4 / 9, abs=0.03)


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="num_bins must be at least 1, got 0"):
        measured(fixed(EXACT), num_bins=0)
