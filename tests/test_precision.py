"""Exact numbers are computed exactly on every device: products name their precision."""

import jax
import jax.numpy as jnp
import pytest

import envs
from envs.base import gaps_of
from icrl import algorithms

HIGHEST = jax.lax.Precision.HIGHEST


def products(jaxpr):
    """The precision of every product of floats in a traced program, inner ones too."""
    for equation in jaxpr.eqns:
        kind = equation.outvars[0].aval.dtype if equation.outvars else None
        product = equation.primitive.name == "dot_general"
        if product and jnp.issubdtype(kind, jnp.inexact):
            yield equation.params["precision"]
        for value in jax.tree.leaves(
            equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def traced(function, *arguments):
    return set(products(jax.make_jaxpr(function)(*arguments).jaxpr))


@pytest.mark.parametrize("name", envs.names())
def test_tasks_steps_and_gaps_name_the_highest_precision(name):
    family = envs.family(name)

    def play(key):
        key_task, key_reset, key_step = jax.random.split(key, 3)
        task = family.sample(key_task)
        state, _ = task.reset(key_reset)
        after, timestep = task.step(key_step, state, jnp.zeros((), jnp.int32))
        return gaps_of(task, after), timestep.reward

    assert traced(play, jax.random.key(0)) <= {(HIGHEST, HIGHEST)}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("exact_posterior_sampling", "LinearBandit-DPT-v0"),
        ("linucb", "ContextualLinearBandit-v0"),
        ("exact_goal_posterior", "DarkRoom-DPT-v0"),
        ("exact_permutation_posterior", "DarkRoomPermuted-DPT-v0"),
        ("posterior_mean_greedy", "RandomMDP-Small-v0"),
        ("exact_posterior_sampling", "GaussianBandit-DPT-v0"),
    ],
)
def test_exact_probabilities_name_the_highest_precision(name, family):
    family = envs.family(family, horizon=5)
    agent = algorithms.make(name, family)

    def probabilities(key):
        key_task, key_begin = jax.random.split(key)
        _, obs = family.sample(key_task).reset(key_begin)
        state = agent.begin_episode(key_begin, agent.init())
        assert agent.action_probabilities is not None
        return agent.action_probabilities(state, obs)

    assert traced(probabilities, jax.random.key(0)) <= {(HIGHEST, HIGHEST)}


def test_a_product_without_a_precision_is_seen():
    assert traced(lambda x: x @ x, jnp.ones((2, 2))) == {None}
