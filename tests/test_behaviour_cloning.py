"""Behaviour cloning: the frequencies of the data, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.base import TimeStep
from icrl.algorithms import behaviour_cloning

FAMILY = envs.family("DarkRoom-DPT-v0", size=3, horizon=4)
AGENT = behaviour_cloning(FAMILY)


def told(state, steps):
    """The state after these pairs of an observation and an action."""
    for obs, action in steps:
        timestep = TimeStep(
            obs=jnp.asarray(8),
            reward=jnp.asarray(1.0),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
        )
        state = AGENT.update(state, jnp.asarray(obs), jnp.asarray(action), timestep)
    return state


def begun(state):
    return AGENT.begin_episode(jax.random.key(0), state)


def probabilities(state, obs):
    return AGENT.action_probabilities(state, jnp.asarray(obs))


def test_it_plays_what_the_data_did_here_and_anything_where_it_never_was():
    state = begun(told(AGENT.init(), [(0, 2), (0, 2), (0, 2), (0, 4), (5, 1)]))
    np.testing.assert_allclose(probabilities(state, 0), [0, 0, 0.75, 0, 0.25])
    np.testing.assert_allclose(probabilities(state, 5), [0, 1, 0, 0, 0])
    for never in (1, 8):
        np.testing.assert_allclose(probabilities(state, never), np.full(5, 0.2))


def test_what_it_does_itself_counts_from_the_next_episode_on():
    state = begun(told(AGENT.init(), [(0, 2)]))
    played = told(state, [(0, 3), (1, 3)])
    np.testing.assert_array_equal(probabilities(played, 0), probabilities(state, 0))
    np.testing.assert_allclose(probabilities(begun(played), 0), [0, 0, 0.5, 0.5, 0])
    np.testing.assert_allclose(probabilities(begun(played), 1), [0, 0, 0, 1, 0])


def test_it_needs_observations_that_are_numbers_of_states():
    with pytest.raises(ValueError, match="behaviour_cloning needs integer observ"):
        behaviour_cloning(envs.family("LinearBandit-Lin2023-v0"))
