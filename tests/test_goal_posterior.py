"""Exact posteriors in dark rooms: by brute force, and the numbers of an ideal DPT.

Over 300 lines: the brute force serves all of its tests.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edges import Edge, at_least, hold

import envs
from envs import grid
from envs.dark_room import DarkRoomFamily
from icrl.algorithms import most_likely, uniform
from icrl.algorithms.dark_room.goal_posterior import (
    best_actions,
    exact_goal_posterior,
    exact_permutation_posterior,
)
from icrl.algorithms.dark_room.snake_sweep import snake_order, snake_sweep
from icrl.pretraining.collection import independent_pairs
from icrl.replay import predictions
from icrl.rollout import rollout

DPT = envs.family("DarkRoom-DPT-v0")
TEST = DPT.split().test.tasks
PERMUTED = envs.family("DarkRoomPermuted-DPT-v0")
SMALL = DarkRoomFamily(horizon=4, size=3)
MOVES = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)])


def returns(algorithm, tasks, num_trajectories, num_episodes, horizon=100):
    """Returns [trajectories, episodes], the tasks in turn."""
    num_tasks = jax.tree.leaves(tasks)[0].shape[0]

    def trajectory(i):
        key_task, key_agent = jax.random.split(jax.random.fold_in(jax.random.key(0), i))
        task = jax.tree.map(lambda leaf: leaf[i % num_tasks], tasks)
        played = rollout(
            key_task, key_agent, task, algorithm, num_episodes=num_episodes
        )
        return played.timestep.reward.reshape(num_episodes, horizon).sum(1)

    return np.asarray(jax.jit(jax.vmap(trajectory))(jnp.arange(num_trajectories)))


# The numbers of an ideal DPT on the 20 test goals: means of 900 trajectories by an
# independent simulation, which says ±1.1 at a deviation of 33.


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("episodes", "expected"),
    [
        (1, [0.7, 19.2, 35.2, 50.7, 64.6, 72.2, 75.2, 77.1]),
        (None, [0.7, 19.8, 35.9, 55.6, 77.5, 89.6, 90.9, 90.9]),
    ],
)
def test_returns_online_are_those_of_an_ideal_dpt(episodes, expected):
    ideal = exact_goal_posterior(DPT, episodes=episodes, in_episode=False)
    num_trajectories = 600
    found = returns(ideal, TEST, num_trajectories, num_episodes=40)
    found = found[:, np.array([1, 2, 3, 5, 10, 20, 30, 40]) - 1]
    error = found.std(0) * (1 / num_trajectories + 1 / 900) ** 0.5
    assert (abs(found.mean(0) - expected) < 3 * error + 0.05).all()


@pytest.mark.usefixtures("optimised")
def test_the_return_offline_is_that_of_having_seen_the_goal():
    collect = independent_pairs(DPT, 100)
    offline = most_likely(exact_goal_posterior(DPT, in_episode=False))
    goal_cells = grid.cell_at(TEST.goal, 10)

    def one(i):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), i), 4)
        task = jax.tree.map(lambda leaf: leaf[i % 20], TEST)
        data = collect(keys[0], keys[1], task)

        def learn(state, step):
            return offline.update(state, *step), None

        steps = (data.obs, data.action, data.timestep)
        state, _ = jax.lax.scan(learn, offline.init(), steps)
        agent = offline._replace(init=lambda: state)
        played = rollout(keys[2], keys[3], task, agent)
        seen = (data.timestep.obs == goal_cells[i % 20]).any()
        return seen, played.timestep.reward.sum()

    seen, found = map(np.asarray, jax.jit(jax.vmap(one))(jnp.arange(4000)))
    best = np.tile(101 - np.asarray(TEST.goal.sum(-1)), 200)
    np.testing.assert_array_equal(found[seen], best[seen])
    ceiling = (1 - 0.99**100) * 90.9
    assert ceiling == pytest.approx(57.6, abs=0.05)
    assert abs(found.mean() - ceiling) < 3 * found.std() / 4000**0.5 + 0.1
    assert found[~seen].mean() < 1


def watch(agent, family, tasks, num_episodes):
    """Random trajectories in these tasks, and the probabilities at every step."""

    def one(i, task):
        key_task, key_agent = jax.random.split(jax.random.fold_in(jax.random.key(0), i))
        played = rollout(
            key_task, key_agent, task, uniform(family), num_episodes=num_episodes
        )
        return played, predictions(agent, played, num_episodes=num_episodes)[:-1]

    indices = jnp.arange(jax.tree.leaves(tasks)[0].shape[0])
    return jax.device_get(jax.jit(jax.vmap(one))(indices, tasks))


def goals_left(cells, rewards, prior):
    """Goals under which all rewards of these steps are what they were."""
    return [g for g in prior if ((cells == g) == rewards.astype(bool)).all()]


def label(goal, cell):
    (goal_x, goal_y), (x, y) = divmod(goal, 3), divmod(cell, 3)
    return [goal_x > x, goal_x < x, goal_y > y, goal_y < y, True].index(True)


def remembered(step, episodes, in_episode, horizon):
    """Steps that count before step `step`."""
    begun = step // horizon * horizon
    first = 0 if episodes is None else max(0, begun - episodes * horizon)
    return np.arange(first, step if in_episode else begun)


@pytest.mark.parametrize(
    ("episodes", "in_episode", "goals"),
    [
        (1, False, "all"),
        (2, True, "all"),
        (None, True, "all"),
        (2, False, "train"),
    ],
)
def test_probabilities_are_those_of_counting_the_goals_left(
    episodes, in_episode, goals
):
    prior = range(9)
    if goals == "train":
        prior = grid.cell_at(SMALL.split().train.tasks.goal, 3).tolist()
        assert len(prior) == 7
    agent = exact_goal_posterior(
        SMALL, episodes=episodes, in_episode=in_episode, goals=goals
    )
    tasks = jax.vmap(SMALL.task)(jnp.array([divmod(goal, 3) for goal in prior]))
    played, probabilities = watch(agent, SMALL, tasks, num_episodes=4)
    landed, rewards = played.timestep.obs, played.timestep.reward
    for trajectory, step in np.ndindex(played.obs.shape):
        rows = remembered(step, episodes, in_episode, 4)
        left = goals_left(landed[trajectory, rows], rewards[trajectory, rows], prior)
        votes = [label(goal, played.obs[trajectory, step]) for goal in left]
        expected = np.bincount(votes, minlength=5) / len(votes)
        np.testing.assert_allclose(probabilities[trajectory, step], expected, atol=1e-6)


def walk_by(move, cell):
    x, y = np.clip(np.array(divmod(cell, 3)) + move, 0, 2)
    return x * 3 + y


@pytest.mark.parametrize(
    ("goals", "episodes", "in_episode"),
    [
        (((2, 1),), 1, True),
        (((2, 1), (0, 2), (2, 2)), 1, True),
        (((2, 1), (0, 0)), 2, False),
        ("all", None, True),
    ],
)
def test_probabilities_over_permutations_are_those_of_counting_those_left(
    goals, episodes, in_episode
):
    family = DarkRoomFamily(horizon=4, size=3, permuted=True, goals=goals)
    agent = exact_permutation_posterior(
        family, episodes=episodes, in_episode=in_episode
    )
    orders = family.all_orders()
    assert orders.shape == (120, 5)
    cells = range(9) if goals == "all" else [3 * x + y for x, y in goals]

    lands = np.array([[walk_by(move, cell) for cell in range(9)] for move in MOVES])
    # a task is a goal with an order
    lands = np.tile(lands[orders], (len(cells), 1, 1))  # [tasks, actions, cells]
    goal = np.repeat(cells, 120)
    places = np.array([divmod(cell, 3) for cell in range(9)])
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 4))
    played, probabilities = watch(agent, family, tasks, num_episodes=3)
    for trajectory, step in np.ndindex(played.obs.shape):
        rows = remembered(step, episodes, in_episode, 4)
        there = lands[:, played.action[trajectory, rows], played.obs[trajectory, rows]]
        pays = there == goal[:, None]
        left = (there == played.timestep.obs[trajectory, rows]).all(-1)
        left &= (pays == played.timestep.reward[trajectory, rows]).all(-1)
        ends = places[lands[left, :, played.obs[trajectory, step]]]
        ways = abs(ends - places[goal[left]][:, None]).sum(-1)
        votes = ways.argmin(-1)  # nearest to the goal
        expected = np.bincount(votes, minlength=5) / len(votes)
        np.testing.assert_allclose(probabilities[trajectory, step], expected, atol=1e-6)


def test_a_hidden_way_is_shown_by_two_demonstrations_and_by_neither_alone():
    family = envs.family("DarkRoomThreeTasks-DPT-v0")
    agent = exact_permutation_posterior(family, in_episode=False)
    task = family.task((4, 7), (3, 0, 4, 2, 1))  # the second goes right, the fourth up
    along = [(10 * x, 1, 10 * min(x + 1, 9), 0.0) for x in range(10)]
    up = [(40 + y, 3, 41 + y, float(y == 6)) for y in range(7)] + [(47, 2, 47, 1.0)]

    def probabilities(steps):
        state = agent.init()
        for obs, action, after, reward in steps:
            timestep = task.step(
                jax.random.key(0),
                task.state_from_obs(jnp.asarray(0), jnp.asarray(obs)),
                jnp.asarray(action),
            )[1]
            assert (int(timestep.obs), float(timestep.reward)) == (after, reward)
            state = agent.update(state, jnp.asarray(obs), jnp.asarray(action), timestep)
        state = agent.begin_episode(jax.random.key(1), state)
        # below the goal, and at it
        return [agent.action_probabilities(state, jnp.asarray(c)) for c in (0, 40, 47)]

    both = probabilities(along + up)
    np.testing.assert_array_equal(both, np.eye(5)[[1, 3, 2]])
    only_along, only_up = probabilities(along), probabilities(up)
    assert np.max(only_along[1]) < 0.5 and np.max(only_along[2]) < 0.5
    np.testing.assert_array_equal(only_up[1:], np.eye(5)[[3, 2]])
    assert only_up[0][1] < 0.5


def test_episodes_that_no_goal_explains_together_say_nothing():
    ideal = exact_goal_posterior(SMALL, episodes=2, in_episode=False)
    probabilities, new = ideal.action_probabilities, ideal.init()
    assert probabilities is not None
    contradicted = new._replace(past=jnp.ones_like(new.past))
    for cell in range(9):
        np.testing.assert_array_equal(
            probabilities(contradicted, cell), probabilities(new, cell)
        )


def test_permutations_are_known_after_one_episode():
    tasks = PERMUTED.split().test.tasks
    agent = exact_permutation_posterior(PERMUTED, in_episode=False)
    found = returns(agent, tasks, num_trajectories=100, num_episodes=3)
    assert (found[:, 2] == 83).all()
    assert found[:, 0].mean() < 10 < 70 < found[:, 1].mean()


def test_a_goal_that_pays_once_stays_known_after_it_has_paid():
    family = envs.family("DarkRoomHard-AD-v0")
    task = family.task((9, 8))
    agent = exact_goal_posterior(family, episodes=1)
    state, obs = agent.init(), jnp.asarray(8 * 17 + 8)
    world, _ = task.reset(jax.random.key(0))
    for action in (0, 1, 0, 1):  # there, back, there again for nothing, back
        world, timestep = task.step(jax.random.key(1), world, jnp.asarray(action))
        state = agent.update(state, obs, jnp.asarray(action), timestep)
        obs = timestep.obs
    assert np.flatnonzero(~state.current).tolist() == [9 * 17 + 8]
    state = agent.begin_episode(jax.random.key(2), state)
    probabilities = agent.action_probabilities(state, jnp.asarray(0))
    np.testing.assert_array_equal(probabilities, [1, 0, 0, 0, 0])
    state = agent.begin_episode(jax.random.key(3), state)  # and is forgotten
    assert agent.action_probabilities(state, jnp.asarray(0))[2] > 0


def test_where_the_goal_pays_once_the_way_to_it_is_straight_all_the_same():
    family = envs.family("DarkRoomHard-AD-v0")
    table = np.asarray(best_actions(family))
    assert table.shape == (289, 289)
    assert table[0, 288] == 1  # from the far corner: left, though out of reach
    assert table[2, 0] == 2


# The sweep.


def test_a_sweep_finds_every_goal_in_one_episode_and_then_walks_straight():
    tasks = jax.vmap(DPT.task)(jnp.asarray(grid.all_positions(10)))
    found = returns(snake_sweep(DPT), tasks, num_trajectories=100, num_episodes=3)
    order = [
        x * 10 + y for y in range(10) for x in (range(10), range(9, -1, -1))[y % 2]
    ]
    assert snake_order(10).tolist() == order
    place = np.argsort(order)  # of every cell in the snake
    np.testing.assert_array_equal(found[:, 0], 100 - place)
    assert found[:, 0].mean() == 50.5
    np.testing.assert_array_equal(found[:, 1], tasks.optimal_return)
    np.testing.assert_array_equal(found[:, 2], found[:, 1])


def test_a_sweep_goes_on_over_episodes_where_one_is_too_short():
    family = envs.family("DarkRoom-AD-v0")
    tasks = jax.vmap(family.task)(jnp.asarray(grid.all_positions(9)))
    found = returns(snake_sweep(family), tasks, 81, num_episodes=12, horizon=20)
    assert (found[:, 0] == 0).any()
    np.testing.assert_array_equal(found[:, -1], tasks.optimal_return)
    best = np.maximum.accumulate(found > 0, axis=1)
    np.testing.assert_array_equal(found > 0, best)  # once found, found again


def test_a_sweep_says_what_it_does():
    agent = snake_sweep(SMALL)

    def play(task):
        played = rollout(
            jax.random.key(0), jax.random.key(1), task, agent, num_episodes=3
        )
        return played.action, predictions(agent, played, num_episodes=3)[:-1]

    action, probabilities = jax.jit(play)(SMALL.task((1, 1)))
    np.testing.assert_array_equal(probabilities.argmax(-1), action)
    np.testing.assert_array_equal(probabilities.sum(-1), 1)


def test_they_refuse_families_that_they_cannot_play():
    bandit = envs.family("GaussianBandit-DPT-v0")
    for make in (exact_goal_posterior, exact_permutation_posterior, snake_sweep):
        with pytest.raises(ValueError, match="needs a DarkRoomFamily, got a Gaussian"):
            make(bandit)
    for make in (exact_goal_posterior, snake_sweep):
        with pytest.raises(ValueError, match="must not be permuted, got DarkRoomPer"):
            make(PERMUTED)
    with pytest.raises(ValueError, match="actions must be permuted, got DarkRoom-DPT"):
        exact_permutation_posterior(DPT)


@pytest.mark.parametrize(
    ("make", "prior"),
    [
        (exact_goal_posterior, "goals"),
        (exact_permutation_posterior, "permutations"),
    ],
)
def test_they_remember_all_and_rule_nothing_out_beforehand(make, prior):
    options = list(inspect.signature(make).parameters.values())[1:]
    defaults = {option.name: option.default for option in options}
    assert defaults == {"episodes": None, "in_episode": True, prior: "all"}


def test_what_they_remember_and_believe_is_refused_from_its_edge_on():
    make = inspect.unwrap(exact_goal_posterior)  # tests alone check annotations
    hold(at_least(1), "episodes", lambda number: make(SMALL, episodes=number))
    half = Edge("{} must be all or train", ("other",), ("all", "train"))
    hold(half, "goals", lambda name: make(SMALL, goals=name))
    make = inspect.unwrap(exact_permutation_posterior)
    permuted = SMALL.replace(permuted=True)
    hold(half, "permutations", lambda name: make(permuted, permutations=name))
