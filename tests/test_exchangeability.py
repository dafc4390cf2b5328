"""What the order of a history changes: nothing for a posterior, much for others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.splits import split_prior
from icrl import algorithms
from icrl.agents import Agent, fixed
from icrl.diagnostics.exchangeability import order_sensitivity

FAMILY = envs.family("BernoulliBandit-Lin2023-v0", horizon=12)
TASKS = split_prior(FAMILY).test
UNIFORM = fixed(algorithms.uniform(FAMILY))


def moved(agent, **options):
    return order_sensitivity(
        jax.random.key(0), TASKS, {"agent": agent}, UNIFORM, num_tasks=20, **options
    )["agent"]


def test_a_posterior_does_not_depend_on_the_order():
    agent = fixed(algorithms.exact_posterior_sampling(FAMILY))
    found = moved(agent, num_orders=2)
    assert found.shape == (1, 20, 2)
    np.testing.assert_allclose(found, 0, atol=1e-5)


def repeats_the_last(share):
    """Plays the last arm again with some probability, else the first one."""

    def probabilities(state, obs):
        return share * jax.nn.one_hot(state, 5) + (1 - share) * jax.nn.one_hot(0, 5)

    return algorithms.Algorithm(
        init=lambda: jnp.zeros((), jnp.int32),
        act=lambda key, state, obs: (state, jnp.argmax(probabilities(state, obs))),
        update=lambda state, obs, action, timestep: action,
        action_probabilities=probabilities,
    )


def test_repeating_the_last_arm_depends_on_it_seed_by_seed():
    agent = Agent(lambda share, task: repeats_the_last(share), jnp.array([1.0, 0.5]))
    whole, half = moved(agent, num_orders=8)
    # two of twelve uniform arms differ with probability 11/12 of 4/5, roughly
    assert set(np.unique(whole)) == {0.0, 1.0} and 0.6 < whole.mean() < 0.85
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)


def test_what_makes_no_sense_is_refused():
    agent = fixed(algorithms.uniform(FAMILY))
    with pytest.raises(ValueError, match="num_orders must be at least 1, got 0"):
        moved(agent, num_orders=0)
