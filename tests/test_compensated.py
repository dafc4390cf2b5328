"""A million steps in float32: what every learner remembers stays right."""

import jax
import jax.numpy as jnp
import numpy as np

import envs
from icrl import algorithms
from icrl.algorithms.posteriors import arm_statistics, mdp_statistics

STEPS = 1_000_000
ARMS = envs.family("GaussianBandit-DPT-v0", num_arms=2)
MDP = envs.family("RandomMDP-Small-v0")


def after_a_million(update, start):
    def step(state, _):
        return update(state), None

    return jax.jit(lambda: jax.lax.scan(step, start, length=STEPS)[0])()


def test_averages_of_a_million_equal_rewards_are_that_reward():
    nothing = jnp.asarray(0)
    timestep = envs.TimeStep(
        obs=nothing,
        reward=jnp.asarray(0.9),
        terminated=jnp.asarray(False),
        truncated=jnp.asarray(False),
    )

    def update(state):
        arms, mdp = state
        arms = arm_statistics.count_pull(arms, nothing, timestep.reward)
        return arms, mdp_statistics.count_step(
            mdp, nothing, nothing, timestep, horizon=5
        )

    start = arm_statistics.no_pulls(ARMS), mdp_statistics.no_steps(MDP)
    arms, mdp = after_a_million(update, start)
    assert abs(float(arm_statistics.empirical_means(arms)[0]) - 0.9) < 1e-6
    assert abs(float(mdp_statistics.empirical_rewards(mdp)[0, 0]) - 0.9) < 1e-6
    assert arms.pulls.tolist() == [STEPS, 0]
    assert arms.total[1] == mdp.total.sum() - mdp.total[0, 0] == 0


def test_a_mixture_tells_its_parts_apart_after_a_long_time():
    family = ARMS.replace(num_arms=4)
    likely = algorithms.ucb(family)._replace(
        action_probabilities=lambda state, obs: jnp.asarray([0.26, 0.26, 0.26, 0.22])
    )
    agent = algorithms.mixture([likely, algorithms.uniform(family)], [0.5, 0.5])
    task = family.task([0.0] * 4)
    _, timestep = task.step(
        jax.random.key(0), task.reset(jax.random.key(1))[0], jnp.asarray(0)
    )

    def learn(state, action):
        return agent.update(state, jnp.asarray(0), action, timestep), None

    # of 200 actions, 47 are the last: then neither part is much likelier
    actions = jnp.where(jnp.arange(100_000) % 200 < 47, 3, 0)
    state = jax.jit(lambda: jax.lax.scan(learn, agent.init(), actions)[0])()
    taken = np.bincount(actions, minlength=4)
    probabilities = np.array([[0.26, 0.26, 0.26, 0.22], [0.25] * 4])
    difference = (taken * np.log(probabilities)).sum(-1)
    found = state.log_likelihoods[0] - state.log_likelihoods[1]
    np.testing.assert_allclose(found, difference[0] - difference[1], atol=0.02)
