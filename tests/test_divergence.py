"""Distances of action probabilities: known values, and on whose histories."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.splits import FiniteTasks, split_prior, stack_tasks
from icrl import algorithms
from icrl.agents import Agent, fixed, of_task
from icrl.diagnostics import divergence
from icrl.diagnostics.divergence import disagreement, divergences
from icrl.evaluation import online

FAMILY = envs.family("BernoulliBandit-Lin2023-v0", horizon=8, num_arms=3)
TASKS = split_prior(FAMILY).test
KEY = jax.random.key(0)


def constant(probabilities):
    """Draws every action with the same probabilities."""
    return algorithms.Algorithm(
        init=tuple,
        act=lambda key, state, obs: (
            state,
            jax.random.choice(key, probabilities.shape[0], p=probabilities),
        ),
        update=lambda state, *_: state,
        action_probabilities=lambda state, obs: probabilities,
    )


def always(arm):
    return constant(jax.nn.one_hot(arm, 3))


def disturbed_by(arm):
    """Uniform until `arm` is in the history; afterwards it plays that for ever."""
    base = algorithms.uniform(FAMILY)

    def probabilities(seen, obs):
        return jnp.where(seen, jax.nn.one_hot(arm, 3), 1 / 3)

    return base._replace(
        init=lambda: jnp.zeros((), bool),
        act=lambda key, seen, obs: (
            seen,
            jax.random.choice(key, 3, p=probabilities(seen, obs)),
        ),
        update=lambda seen, obs, action, timestep: seen | (action == arm),
        action_probabilities=probabilities,
    )


def test_distances_of_two_distributions_worked_out_by_hand():
    p, q = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.25, 0.25, 0.5])
    assert np.isclose(divergence.kullback_leibler(p, q), np.log(2))
    expected = 2 * (np.sqrt(0.5) - 0.5) ** 2 + 0.5
    assert np.isclose(divergence.hellinger_squared(p, q), expected)
    assert np.isclose(divergence.total_variation(p, q), 0.5)
    assert np.isclose(divergence.chi_squared(p, q), 1.0)  # Σ p² / q = 2


def test_an_impossible_action_costs_a_finite_number():
    p, q = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    assert np.isclose(divergence.kullback_leibler(p, q), 30 * np.log(10))
    assert divergence.hellinger_squared(p, q) == 2
    assert divergence.total_variation(p, q) == 1
    assert np.isfinite(divergence.chi_squared(p, q))


def test_distances_keep_the_order_that_the_theory_needs():
    random = np.random.default_rng(0)
    p, q = (jnp.asarray(random.dirichlet([0.3] * 4, 500), jnp.float32) for _ in "pq")
    squared, kl = divergence.hellinger_squared(p, q), divergence.kullback_leibler(p, q)
    assert np.all(divergence.total_variation(p, q) <= np.sqrt(squared) + 1e-6)
    assert np.all(squared <= kl + 1e-5)
    assert np.all(kl <= np.log1p(divergence.chi_squared(p, q)) + 1e-4)


def test_an_agent_is_at_no_distance_from_itself():
    target = fixed(algorithms.thompson_sampling(FAMILY))
    found = divergences(KEY, TASKS, target, target, None, num_tasks=5)
    assert found.kl.shape == (1, 5, 9)
    assert all(np.all(values == 0) for values in found)


def test_the_first_decision_knows_nothing_and_the_last_everything():
    agent, target = fixed(disturbed_by(0)), fixed(algorithms.uniform(FAMILY))
    found = divergences(KEY, TASKS, agent, target, fixed(always(0)), num_tasks=4)
    np.testing.assert_allclose(found.tv[..., 0], 0, atol=1e-6)
    np.testing.assert_allclose(found.tv[..., 1:], 2 / 3, atol=1e-6)


def test_the_distance_depends_on_who_made_the_history():
    agent, target = fixed(disturbed_by(0)), fixed(algorithms.uniform(FAMILY))

    def last(histories):
        found = divergences(KEY, TASKS, agent, target, histories, num_tasks=200)
        return found.tv[0, :, -1].mean()

    assert np.isclose(last(fixed(always(1))), 0, atol=1e-6)
    missed = (2 / 3) ** 8  # arm 0 is not among 8 uniform choices
    for histories in (target, None):
        assert np.isclose(last(histories), 2 / 3 * (1 - missed), atol=0.03)


def test_every_seed_is_measured_with_its_own_model_on_its_own_history():
    probabilities = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    agent = Agent(lambda model, task: constant(model), probabilities)
    target = fixed(disturbed_by(0))
    found = divergences(KEY, TASKS, agent, target, None, num_tasks=3)
    assert found.tv.shape == (2, 3, 9)
    np.testing.assert_allclose(found.tv[0, :, 1:], 0, atol=1e-6)
    np.testing.assert_allclose(found.tv[1], 1 / 3, atol=1e-6)


def test_the_direction_is_from_the_target_to_the_agent():
    agent = fixed(constant(jnp.array([0.5, 0.25, 0.25])))
    found = divergences(KEY, TASKS, agent, fixed(always(0)), None, num_tasks=2)
    np.testing.assert_allclose(found.kl, np.log(2), rtol=1e-6)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """A bandit whose episode ends after three steps."""

    bandit: envs.Task
    num_actions: int = dataclasses.field(default=3, metadata={"static": True})
    horizon: int = dataclasses.field(default=8, metadata={"static": True})

    def reset(self, key):
        return self.bandit.reset(key)

    def step(self, key, state, action):
        state, timestep = self.bandit.step(key, state, action)
        return state, timestep._replace(terminated=state >= 3)

    def gaps(self, state):
        return self.bandit.gaps(state)

    def state_from_obs(self, step, obs):
        return self.bandit.state_from_obs(step, obs)


def test_two_trained_agents_are_compared_seed_by_seed():
    def trained(*probabilities):
        return Agent(lambda model, task: constant(model), jnp.asarray(probabilities))

    one = trained([0.5, 0.5, 0.0], [1.0, 0.0, 0.0])
    other = trained([0.5, 0.5, 0.0], [0.0, 1.0, 0.0])
    histories = fixed(algorithms.uniform(FAMILY))
    found = disagreement(KEY, TASKS, one, other, histories, num_tasks=3)
    assert found.tv.shape == (2, 3, 9)
    assert (found.tv[0] == 0).all() and (found.tv[1] == 1).all()
    single = trained([1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"as many seeds, got \(2, 1\)"):
        disagreement(KEY, TASKS, one, single, histories, num_tasks=3)


def test_no_decision_counts_after_the_episode_ended():
    bandits = FAMILY.sample(KEY)
    tasks = FiniteTasks(jax.tree.map(lambda x: x[None], Ending(bandit=bandits)))
    agent = fixed(algorithms.uniform(FAMILY))
    found = divergences(KEY, tasks, agent, fixed(always(0)), None, num_tasks=2)
    np.testing.assert_allclose(found.kl[..., :3], np.log(3), rtol=1e-6)
    assert np.all(found.kl[..., 3:] == 0)


def test_histories_are_those_of_the_online_evaluation():
    """The target settles once the best arm was pulled, the uniform player never."""
    arms = [FAMILY.task(jnp.roll(jnp.array([1.0, 0.0, 0.0]), k)) for k in range(3)]
    tasks = FiniteTasks(stack_tasks(arms))
    uniform = fixed(algorithms.uniform(FAMILY))
    regret = online(KEY, tasks, {"uniform": uniform}, num_tasks=200)["uniform"]
    never = regret[0, :, -1] == 8
    target = of_task(lambda task: disturbed_by(jnp.argmax(task.means)))
    found = divergences(KEY, tasks, uniform, target, uniform, num_tasks=200)
    assert 0 < never.sum() < 200
    np.testing.assert_array_equal(found.tv[0, :, -1] < 0.5, never)


@pytest.mark.parametrize("who", ["target", "the behaviour policy"])
def test_a_trained_model_is_refused_where_an_algorithm_must_stand(who):
    known = fixed(algorithms.uniform(FAMILY))
    model = Agent(lambda model, task: constant(model), jnp.ones((2, 3)) / 3)
    roles = (model, known) if who == "target" else (known, model)
    with pytest.raises(
        ValueError, match=f"the {who} must be an algorithm, got trained"
    ):
        divergences(KEY, TASKS, known, *roles, num_tasks=2)
