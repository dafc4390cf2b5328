"""Contexts that are not played from the start of an episode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from icrl import algorithms, pretraining
from icrl.agents import Recipe
from icrl.algorithms.dark_room.goal_posterior import best_actions, exact_goal_posterior
from icrl.algorithms.uniform import uniform
from icrl.config import (
    POSTERIOR_OF_REWARDS,
    DecisionPretrainingConfig,
    DistillationConfig,
)
from icrl.pretraining import collection, methods
from icrl.pretraining.collection import part_of_rollout
from icrl.rollout import rollout

PLAIN = DecisionPretrainingConfig()
FAMILY = envs.family("RandomMDP-Small-v0")


def test_independent_pairs_are_uniform_and_pay_what_the_task_pays():
    task = FAMILY.sample(jax.random.key(0))
    collect = collection.independent_pairs(FAMILY, 20_000)
    data = collect(jax.random.key(1), jax.random.key(2), task)
    pairs = np.asarray(data.obs) * FAMILY.num_actions + np.asarray(data.action)
    cells = FAMILY.observation.n * FAMILY.num_actions
    counts = np.bincount(pairs, minlength=cells)
    expected = len(pairs) / cells
    assert (abs(counts - expected) < 4.5 * np.sqrt(expected)).all()
    rewards = np.bincount(pairs, data.timestep.reward, cells) / counts
    error = FAMILY.noise_std / np.sqrt(counts)
    assert (abs(rewards - np.ravel(task.mean_rewards)) < 4.5 * error).all()
    moves = np.zeros((cells, FAMILY.observation.n))
    np.add.at(moves, (pairs, np.asarray(data.timestep.obs)), 1)
    probabilities = np.asarray(task.transitions).reshape(cells, -1)
    spread = np.sqrt(probabilities * (1 - probabilities) / counts[:, None])
    assert (abs(moves / counts[:, None] - probabilities) < 4.5 * spread + 1e-6).all()


def test_independent_pairs_need_observations_that_are_numbers_of_states():
    with pytest.raises(ValueError, match="needs integer observations"):
        collection.independent_pairs(envs.family("LinearBandit-Lin2023-v0"), 10)


def test_a_thinned_history_keeps_the_last_episode_of_every_few():
    algorithm, task = uniform(FAMILY), FAMILY.sample(jax.random.key(0))

    def keys():
        return jax.random.key(1), jax.random.key(2)

    whole = rollout(*keys(), task, algorithm, num_episodes=6)
    collect = collection.thinned_history(algorithm, num_episodes=2, every=3)
    thin = collect(*keys(), task)
    kept = np.r_[2 * 5 : 3 * 5, 5 * 5 : 6 * 5]
    assert np.array_equal(thin.obs, whole.obs[kept])
    assert np.array_equal(thin.action, whole.action[kept])
    assert np.array_equal(thin.timestep.reward, whole.timestep.reward[kept])
    assert thin.final_obs == whole.final_obs


def test_a_question_about_a_state_is_labelled_by_its_best_first_action():
    recipe = Recipe(
        family="RandomMDP-Small-v0", tokenizer="query_first", agent="query_table"
    )
    choices = methods.state_query_pretraining(
        recipe, DecisionPretrainingConfig(empty_context=False)
    )
    example = pretraining.sample(choices, jax.random.key(5))
    task = choices.tasks.sample(jax.random.split(jax.random.key(5), 3)[0])
    asked = int(np.argmax(example.tokens[0][: FAMILY.observation.n]))
    best = np.asarray(task.q_values)[0, asked].argmax()
    assert (np.asarray(example.labels).argmax(-1) == best).all()
    assert example.weights.tolist() == [0.0] + [1.0] * FAMILY.horizon


def test_every_token_may_ask_about_a_state_of_its_own():
    recipe = Recipe(
        family="RandomMDP-Small-v0",
        tokenizer="query_each",
        agent="query_table",
        num_episodes=2,
    )
    choices = methods.state_query_pretraining(recipe, PLAIN)
    asked_about = set()
    for seed in range(4):
        example = pretraining.sample(choices, jax.random.key(seed))
        keys = jax.random.split(jax.random.key(seed), 3)
        task = choices.tasks.sample(keys[0])
        asked, shown = np.split(np.asarray(example.tokens), [5], axis=1)
        best = np.asarray(task.q_values)[0].argmax(-1)[asked.argmax(-1)]
        assert np.array_equal(np.asarray(example.labels).argmax(-1), best)
        assert (example.weights == 1).all()
        assert (shown[0] == 0).all() and (shown[1:] != 0).any(axis=-1).all()
        asked_about |= set(asked.argmax(-1).tolist())
    assert asked_about == set(range(5))


def test_a_question_may_be_labelled_by_what_the_context_itself_shows():
    family = envs.family("DarkRoom-DPT-v0", size=4, horizon=6)
    recipe = Recipe(
        family="DarkRoom-DPT-v0",
        changes={"size": 4, "horizon": 6},
        tokenizer="query_each",
        agent="query_table",
        num_episodes=2,
    )
    posterior = exact_goal_posterior(family)
    choices = methods.state_query_pretraining(
        recipe, POSTERIOR_OF_REWARDS, posterior=posterior
    )
    best = np.asarray(best_actions(family))
    for seed in range(4):
        tokens, labels, weights = map(
            np.asarray, pretraining.sample(choices, jax.random.key(seed))
        )
        asked, _, _, after, reward = np.split(tokens, [8, 16, 21, 29], axis=1)
        cell = [
            4 * code[:, :4].argmax(-1) + code[:, 4:].argmax(-1)
            for code in (asked, after)
        ]
        left = np.ones(16, bool)
        for step in range(len(tokens)):
            if tokens[step, 8:].any():
                here = np.arange(16) == cell[1][step]
                left &= here if reward[step, 0] > 0 else ~here
            votes = np.bincount(best[left, int(cell[0][step])], minlength=5)
            if weights[step]:
                np.testing.assert_allclose(labels[step], votes / left.sum(), atol=1e-6)


def test_questions_are_about_any_state_or_about_those_that_the_data_came_to():
    family = envs.family("DarkRoom-DPT-v0", size=4, horizon=6)
    learner = algorithms.uniform(family)
    trajectory = rollout(
        jax.random.key(0), jax.random.key(1), family.task((3, 3)), learner
    )
    seen = np.bincount(np.asarray(trajectory.timestep.obs), minlength=16) / 6
    for visited in (0.0, 0.5, 1.0):
        ask = collection.any_state(family, 8000, visited=visited)
        asked = np.bincount(
            np.asarray(ask(jax.random.key(2), trajectory)), minlength=16
        )
        expected = visited * seen + (1 - visited) / 16
        np.testing.assert_allclose(asked / 8000, expected, atol=0.02)
    with pytest.raises(ValueError, match=r"visited must lie in \[0, 1\], got 2"):
        collection.any_state(family, visited=2.0)


def test_data_may_come_from_another_task_than_the_one_that_is_labelled():
    family = envs.family("DarkRoom-DPT-v0", size=4, horizon=6)
    here, there = family.task((0, 1)), family.task((3, 3))
    collect = collection.episodes_of(algorithms.optimal)
    moved = collection.in_other_task(collect, lambda task: there, 0.75)
    keys = jax.random.split(jax.random.key(1), 400)
    ends = jax.vmap(lambda key: moved(key, jax.random.clone(key), here).final_obs)(keys)
    assert set(ends.tolist()) == {1, 15}, "the cells of the two goals"
    assert abs((ends == 15).mean() - 0.75) < 4 * (0.75 * 0.25 / 400) ** 0.5
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\], got 1.5"):
        collection.in_other_task(collect, lambda task: there, 1.5)


def test_part_of_a_rollout_is_a_stretch_of_the_whole_one():
    family = envs.family("DarkRoom-DPT-v0", size=4, horizon=6)
    task, learner = family.task((3, 3)), algorithms.uniform(family)
    collect = part_of_rollout(learner, num_episodes=2, rollout_episodes=4)

    def both(seed):  # the same keys, made twice: none is used twice
        noise, again = (jax.random.key(seed) for _ in range(2))
        agent, same = (jax.random.key(seed + 1000) for _ in range(2))
        _, key_agent = jax.random.split(agent)
        whole = rollout(noise, key_agent, task, learner, num_episodes=4)
        return whole.action, collect(again, same, task).action

    wholes, parts = jax.jit(jax.vmap(both))(jnp.arange(300))
    assert parts.shape == (300, 12)
    stretches = jnp.stack([wholes[:, 6 * n :][:, :12] for n in range(3)], axis=1)
    is_start = (stretches == parts[:, None]).all(-1)
    assert (is_start.sum(1) == 1).all()
    number = is_start.sum(0)
    assert ((number > 70) & (number < 130)).all(), "every start is as likely"
    with pytest.raises(ValueError, match=r"num_episodes must lie in \[1, 4\].*got 5"):
        part_of_rollout(learner, num_episodes=5, rollout_episodes=4)


def test_a_tokenizer_without_a_query_is_refused():
    recipe = Recipe(family="RandomMDP-Small-v0", tokenizer="step")
    with pytest.raises(ValueError, match=r"tokenizer must have a query.*got step"):
        methods.state_query_pretraining(recipe, PLAIN)


def test_probabilities_of_a_thinned_history_are_refused():
    recipe = Recipe(family="RandomMDP-Small-v0", tokenizer="step", num_episodes=2)
    with pytest.raises(
        ValueError, match=r"labels of probabilities need the whole history.*got 3"
    ):
        methods.algorithm_distillation(
            recipe,
            uniform(FAMILY),
            DistillationConfig(labels="probabilities"),
            behaviour="uniform",
            every=3,
        )


def test_nothing_is_taught_once_an_episode_is_over():
    recipe = Recipe(family="RandomMDP-Small-v0", tokenizer="step", num_episodes=2)
    choices = methods.decision_pretraining(
        recipe, lambda task: uniform(FAMILY), PLAIN, behaviour="uniform"
    )
    example = pretraining.sample(choices, jax.random.key(0))
    assert example.weights.tolist() == [1.0] * 10 + [0.0]


def lowest_row(key, task):
    return 4 * jax.random.randint(key, (), 0, 4)


def test_a_demonstration_begins_where_it_should_and_follows_its_policy():
    family = envs.family("DarkRoom-DPT-v0", size=4, horizon=6)
    task = family.task((2, 1))
    collect = collection.demonstration(
        lowest_row, lambda task, obs: jnp.where(obs == 9, 4, 2)
    )
    starts = set()
    for seed in range(12):
        data = collect(jax.random.key(seed), jax.random.key(seed + 100), task)
        x, y = np.divmod(np.append(data.obs, data.final_obs), 4)
        assert (x == x[0]).all() and y[0] == 0
        stops = 1 if x[0] == 2 else 3  # at the goal, or at the wall
        assert y.tolist() == [min(step, stops) for step in range(7)]
        pays = (x[1:] == 2) & (y[1:] == 1)
        np.testing.assert_array_equal(data.timestep.reward, pays)
        np.testing.assert_array_equal(data.gap == 0, optimal_there(task, data))
        assert data.valid.all() and data.timestep.truncated.tolist() == [0] * 5 + [1]
        starts.add(int(x[0]))
    assert starts == {0, 1, 2, 3}


def optimal_there(task, data):
    gaps = jax.vmap(task.gaps)(data.state)
    return np.take_along_axis(gaps, np.asarray(data.action)[:, None], axis=1)[:, 0] == 0


def test_two_demonstrations_stand_in_either_order():
    family = envs.family("DarkRoom-DPT-v0", size=4, horizon=6)
    task = family.task((3, 3))
    right, up = (
        collection.demonstration(lowest_row, lambda task, obs, move=move: move)
        for move in (jnp.asarray(0), jnp.asarray(2))
    )
    both = collection.in_either_order(right, up)
    orders = set()
    for seed in range(12):
        data = both(jax.random.key(seed), jax.random.key(seed + 100), task)
        first, last = np.asarray(data.action).reshape(2, 6)
        assert {*first} | {*last} == {0, 2} and len({*first}) == len({*last}) == 1
        assert data.final_obs == data.timestep.obs[-1]
        assert data.obs[0] % 4 == data.obs[6] % 4 == 0
        orders.add(int(first[0]))
    assert orders == {0, 2}
