"""The chain from imitation to reward, where its links are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.splits import FiniteTasks, split_prior, stack_tasks
from icrl import algorithms
from icrl.agents import Agent, fixed
from icrl.diagnostics.performance_gap import performance_gap

HORIZON = 15
FAMILY = envs.family("BernoulliBandit-Lin2023-v0", horizon=HORIZON, num_arms=4)
TASKS = split_prior(FAMILY).test
PAYS_ARM_1 = FAMILY.replace(name="", num_arms=2).task([0.0, 1.0])
ONE_TASK = FiniteTasks(stack_tasks([PAYS_ARM_1]))
KEY = jax.random.key(0)


def learner(probabilities, start, update):
    """Acts by its probabilities; nothing random but the actions."""
    return algorithms.Algorithm(
        init=lambda: start,
        act=lambda key, state, obs: (
            state,
            jax.random.categorical(key, jnp.log(probabilities(state, obs))),
        ),
        update=update,
        action_probabilities=probabilities,
    )


def never_learns(*probabilities):
    probabilities = jnp.asarray(probabilities)
    return learner(lambda state, obs: probabilities, (), lambda state, *_: state)


def faithful(mistake):
    """Plays arm 1, but arm 0 with probability `mistake` at first; then as before."""

    def probabilities(first, obs):
        start = jnp.stack([jnp.asarray(mistake), 1 - jnp.asarray(mistake)])
        return jnp.where(first < 0, start, jax.nn.one_hot(first, 2))

    return learner(
        probabilities, jnp.full((), -1), lambda first, obs, action, timestep: action
    )


def follower(strength):
    """Prefers arms that paid, the more the stronger; so it depends on the past."""
    return learner(
        lambda gains, obs: jax.nn.softmax(strength * gains),
        jnp.zeros(4),
        lambda gains, obs, action, timestep: gains.at[action].add(
            timestep.reward - 0.5
        ),
    )


def half_uniform(algorithm):
    """The context algorithm that plays `algorithm` in half of the histories."""
    uniform = algorithms.uniform(FAMILY)
    return fixed(algorithms.mixture([algorithm, uniform], [0.5, 0.5]))


def assert_chain_holds(found, reward_range=1):
    """Every inequality of the module's docstring."""
    span = reward_range * HORIZON
    assert np.all(abs(found.gap.mean) <= found.absolute_gap.mean() + 1e-6)
    assert found.absolute_gap.mean() <= found.telescoping_bound.low
    assert found.telescoping_bound.mean <= found.paper_bound.mean
    assert np.isclose(found.paper_bound.mean, span * found.hellinger.mean)
    assert found.ratio.trusted.all()
    assert found.hellinger.mean <= found.change_of_measure
    assert found.hellinger_squared.mean <= found.excess_loss.mean + 1e-6
    assert found.excess_loss.mean <= HORIZON * found.realizability.mean() + 1e-6
    last = found.ratio.value[-1] * found.realizability.mean()
    assert found.change_of_measure <= HORIZON * np.sqrt(last) * (1 + 1e-5)


def test_every_term_is_zero_when_the_agent_is_its_target():
    target = never_learns(0.1, 0.2, 0.3, 0.4)
    found = performance_gap(
        KEY, TASKS, fixed(target), fixed(target), half_uniform(target), num_tasks=100
    )
    for name in set(found._fields) - {"ratio", "by_task", "tasks_hash"}:
        assert np.all(np.asarray(getattr(found, name)) == 0), name
    assert not any(values.any() for values in found.by_task.values())
    assert found.ratio.value[-1] > 1.2


def test_the_terms_of_two_agents_that_never_learn_are_known():
    """As if rewards were twice as far apart: only bounds in reward units double."""
    p, q, other = np.array([0.1, 0.9]), np.array([0.3, 0.7]), np.array([0.2, 0.8])
    agent, target, context = (
        fixed(never_learns(*probabilities)) for probabilities in (q, p, other)
    )
    found = performance_gap(
        KEY, ONE_TASK, agent, target, context, num_tasks=1000, reward_range=2.0
    )
    h_squared = ((np.sqrt(p) - np.sqrt(q)) ** 2).sum()
    steps = HORIZON * (HORIZON + 1) / 2
    ratios = (p**2 / other).sum() ** np.arange(1, HORIZON + 1)
    expected = {
        "telescoping_bound": 2 * 0.2 * steps,
        "hellinger": HORIZON * np.sqrt(h_squared),
        "hellinger_squared": HORIZON * h_squared,
        "excess_loss": HORIZON * (p * np.log(p / q)).sum(),
    }
    for name, value in expected.items():
        assert np.isclose(getattr(found, name).mean, value, rtol=1e-4), name
    assert found.gap.low <= 0.2 * HORIZON <= found.gap.high
    assert found.gap.high - found.gap.low < 0.3
    np.testing.assert_allclose(found.realizability, np.log((p**2 / q).sum()), 1e-4)
    np.testing.assert_allclose(found.ratio.value, ratios, rtol=0.1)
    bound = HORIZON * np.sqrt(found.ratio.value[-1] * h_squared)
    assert np.isclose(found.change_of_measure, bound, rtol=1e-4)
    assert_chain_holds(found, reward_range=2)


def test_the_chain_holds_where_distances_depend_on_the_history():
    target = follower(2.0)
    found = performance_gap(
        KEY,
        TASKS,
        fixed(follower(0.5)),
        fixed(target),
        half_uniform(target),
        num_tasks=400,
    )
    assert found.gap.low > 0.5 and found.hellinger.low > 1
    assert_chain_holds(found)


def test_the_telescoping_bound_is_reached_by_a_first_mistake_that_lasts():
    """The factor T - t is the least possible, and seeds do not cancel each other.

    The target errs with probability 0.3, one seed never and the other with 0.6: gap and
    bound of each are T times 0.3.
    """
    agent = Agent(lambda model, task: faithful(model), jnp.array([0.0, 0.6]))
    target, context = fixed(faithful(0.3)), fixed(faithful(0.5))
    found = performance_gap(KEY, ONE_TASK, agent, target, context, num_tasks=1000)
    assert np.isclose(found.telescoping_bound.mean, HORIZON * 0.3, rtol=1e-5)
    np.testing.assert_allclose(found.absolute_gap, HORIZON * 0.3, rtol=0.15)
    assert abs(found.gap.mean) < 0.1 * HORIZON
    # histories of every length are as rare as their first step
    np.testing.assert_allclose(found.ratio.value, 2 * (0.3**2 + 0.7**2), rtol=0.05)
    expected = [0.3**2 * 1e30, 0.3**2 / 0.6 + 0.7**2 / 0.4]  # floored, not infinite
    np.testing.assert_allclose(found.realizability, np.log(expected), rtol=1e-4)


def test_a_range_of_rewards_is_positive_and_the_target_an_algorithm():
    known = fixed(faithful(0.1))
    model = Agent(lambda model, task: faithful(model), jnp.array([0.0, 0.6]))
    with pytest.raises(ValueError, match="reward_range must be positive, got 0"):
        performance_gap(KEY, TASKS, known, known, known, num_tasks=3, reward_range=0.0)
    for roles in ((model, known), (known, model)):
        with pytest.raises(ValueError, match="must be an algorithm, got trained"):
            performance_gap(KEY, TASKS, known, *roles, num_tasks=3)
