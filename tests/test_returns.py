"""Returns online and offline, in rooms where they are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from icrl import algorithms, evaluation
from icrl.evaluation import returns
from icrl.pretraining.collection import either, episodes_of, independent_pairs

ROOM = envs.family("DarkRoom-DPT-v0")
TEST = ROOM.split().test


def test_every_test_goal_is_played_as_often_and_the_optimum_is_the_published_one():
    """90.9 is the mean of 101 - (x + y) over the 20 test goals (Lee et al. 2023)."""
    optimal = {"optimal": evaluation.of_task(algorithms.optimal)}
    scores = returns.online(
        jax.random.key(0), TEST, optimal, num_tasks=40, num_episodes=2
    )["optimal"]
    goals = np.asarray(TEST.tasks.goal)
    each = np.tile(101 - goals.sum(-1), 2)
    assert np.array_equal(scores[0], np.stack([each, each], axis=-1))
    assert scores.mean() == pytest.approx(90.9)


def test_a_data_set_with_the_goal_is_as_good_as_knowing_it():
    exact = algorithms.exact_goal_posterior(ROOM, episodes=1, in_episode=False)
    agents = {
        "exact": evaluation.fixed(algorithms.most_likely(exact)),
        "optimal": evaluation.of_task(algorithms.optimal),
    }
    scores = returns.offline(
        jax.random.key(0),
        TEST,
        episodes_of(algorithms.optimal),
        agents,
        num_tasks=20,
    )
    assert np.array_equal(scores["exact"], scores["optimal"])


def test_data_of_two_kinds_comes_in_the_shares_that_were_asked_for():
    random, expert = independent_pairs(ROOM, 100), episodes_of(algorithms.optimal)
    collect = either(expert, random, 0.3)

    def paid(key):
        key_noise, key_agent, key_task = jax.random.split(key, 3)
        return collect(key_noise, key_agent, TEST.sample(key_task)).timestep.reward

    rewards = jax.vmap(paid)(jax.random.split(jax.random.key(0), 600)).sum(-1)
    share = (np.asarray(rewards) > 50).mean()
    assert abs(share - 0.3) < 4 * np.sqrt(0.21 / 600)


def test_noise_that_clears_goes_from_uniform_play_to_the_optimum():
    def probabilities(task, episodes):
        agent = algorithms.annealed_optimal(task, num_episodes=5)
        state = agent.init()
        for _ in range(episodes):
            state = agent.begin_episode(jax.random.key(0), state)
        return agent.action_probabilities(state, jnp.asarray(0))

    task = ROOM.task((3, 0))  # from the corner: to the right
    for episodes, noise in ((1, 1.0), (2, 0.75), (5, 0.0), (9, 0.0)):
        expected = np.full(5, noise / 5) + (1 - noise) * np.eye(5)[0]
        np.testing.assert_allclose(probabilities(task, episodes), expected, atol=1e-6)
