"""Dark Key-to-Door: what pays when, gaps by brute force, the split."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.dark_key_to_door import DarkKeyToDoorFamily, KeyToDoorState
from envs.splits import stack_tasks
from icrl.algorithms import optimal
from icrl.rollout import rollout

AD = envs.family("DarkKeyToDoor-AD-v0")
RIGHT, LEFT, UP, DOWN, STAY = range(5)
MOVES = [(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)]


def gaps_by_enumeration(task, state):
    """Gaps from every sequence of actions, walked in plain Python."""
    key, door = tuple(task.key_cell.tolist()), tuple(task.door_cell.tolist())

    @functools.cache
    def best_return(cell, has_key, is_open, steps_left):
        if steps_left == 0:
            return 0
        return max(q_value(cell, has_key, is_open, a, steps_left) for a in range(5))

    def q_value(cell, has_key, is_open, action, steps_left):
        moved = zip(cell, MOVES[action], strict=True)
        cell = tuple(min(max(at + by, 0), task.size - 1) for at, by in moved)
        finds = cell == key and not has_key
        opens = cell == door and has_key and not is_open
        after = (cell, has_key or finds, is_open or opens, steps_left - 1)
        return finds + opens + best_return(*after)

    here = tuple(state.position.tolist()), bool(state.has_key), bool(state.is_open)
    steps_left = task.horizon - int(state.step)
    q_values = [q_value(*here, action, steps_left) for action in range(5)]
    return max(q_values) - np.array(q_values)


@pytest.mark.parametrize("door", [(1, 3), (2, 1)])
def test_gaps_are_those_of_enumerating_all_walks(door):
    task = DarkKeyToDoorFamily(horizon=6, size=4).task((2, 0), door)
    states = [
        KeyToDoorState(
            step=jnp.asarray(step),
            position=jnp.array([x, y]),
            has_key=jnp.asarray(found > 0),
            is_open=jnp.asarray(found > 1),
        )
        for step in range(6)
        for x in range(4)
        for y in range(4)
        for found in range(3)
    ]
    gaps = jax.jit(jax.vmap(task.gaps))(stack_tasks(states))
    expected = [gaps_by_enumeration(task, state) for state in states]
    np.testing.assert_array_equal(gaps, expected)
    assert gaps.max() == (2 if door == (2, 1) else 1)  # both lost, or one


def rewards_of(task, actions):
    state, _ = task.reset(jax.random.key(0))
    rewards = []
    for action in actions:
        state, timestep = task.step(jax.random.key(1), state, jnp.asarray(action))
        rewards.append(float(timestep.reward))
    return rewards


def test_the_door_pays_after_the_key_and_each_pays_once():
    task = AD.replace(start=(4, 4)).task((4, 6), (5, 4))
    walk = [RIGHT, LEFT, UP, UP, STAY, DOWN, UP, DOWN, DOWN, RIGHT, STAY, UP]
    assert rewards_of(task, walk) == [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]


def test_an_agent_that_begins_at_the_key_finds_it_by_a_step():
    task = AD.replace(start=(4, 4)).task((4, 4), (5, 4))
    assert rewards_of(task, [RIGHT, LEFT, RIGHT]) == [0, 1, 1]
    assert rewards_of(task, [STAY, RIGHT]) == [1, 1]


def test_both_rewards_are_within_reach_from_everywhere():
    def play(key):
        key_task, key_reset = jax.random.split(key)
        task = AD.sample(key_task)
        state, _ = task.reset(key_reset)

        def step(state, _):
            action = jnp.argmin(task.gaps(state))
            state, timestep = task.step(jax.random.key(0), state, action)
            return state, timestep.reward

        return jax.lax.scan(step, state, length=task.horizon)[1].sum()

    keys = jax.random.split(jax.random.key(0), 500)
    assert {*np.asarray(jax.jit(jax.vmap(play))(keys)).tolist()} == {2.0}


def test_an_episode_begins_in_any_cell_alike():
    task = AD.task((0, 0), (1, 1))
    keys = jax.random.split(jax.random.key(0), 8100)
    _, obs = jax.jit(jax.vmap(task.reset))(keys)
    counts = np.bincount(np.asarray(obs), minlength=81)
    assert abs(counts - 100).max() < 5 * (100 * (1 - 1 / 81)) ** 0.5


def test_a_cell_does_not_show_whether_the_key_was_found():
    task = AD.task((0, 0), (1, 1))
    with pytest.raises(NotImplementedError, match="whether the key was found"):
        task.state_from_obs(jnp.asarray(0), jnp.asarray(0))
    with pytest.raises(ValueError, match="whose observations determine the state"):
        rollout(jax.random.key(0), jax.random.key(1), task, optimal(task))


def test_a_fifth_of_all_pairs_of_different_cells_is_held_out():
    split = AD.split()
    pairs = [
        (tuple(key), tuple(door))
        for half in (split.train, split.test)
        for key, door in zip(
            half.tasks.key_cell.tolist(), half.tasks.door_cell.tolist(), strict=True
        )
    ]
    assert (len(split.train), len(split.test)) == (5184, 1296)
    assert len(set(pairs)) == 81 * 80
    assert all(key != door for key, door in pairs)
    # Shuffled: the test half has keys and doors from everywhere.
    assert len({key for key, _ in pairs[5184:]}) == 81


def test_sampled_tasks_have_key_and_door_in_different_cells():
    tasks = jax.jit(jax.vmap(AD.sample))(jax.random.split(jax.random.key(0), 4000))
    key = np.asarray(tasks.key_cell[:, 0] * 9 + tasks.key_cell[:, 1])
    door = np.asarray(tasks.door_cell[:, 0] * 9 + tasks.door_cell[:, 1])
    assert (key != door).all()
    for cells in (key, door):
        counts = np.bincount(cells, minlength=81)
        assert abs(counts - 4000 / 81).max() < 5 * (4000 / 81) ** 0.5


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match=r"the key must lie in the 9x9 grid, got \(9"):
        AD.task((9, 0), (0, 0))
    with pytest.raises(ValueError, match="the door must lie in the 9x9 grid, got"):
        AD.task((0, 0), (0, -1))
    with pytest.raises(ValueError, match="key and door must lie in two cells, got"):
        AD.task((3, 3), (3, 3))
    with pytest.raises(ValueError, match="start must lie in the 9x9 grid, got"):
        AD.replace(start=(0, 9))
    with pytest.raises(ValueError, match=r"test_fraction must lie in \(0, 1\), got 0"):
        AD.replace(test_fraction=0.0)
    for fraction, num_train in ((0.97, 0), (0.01, 12)):
        with pytest.raises(ValueError, match=f"some of 12 tasks, got {num_train} to"):
            AD.replace(size=2, start=(0, 0), test_fraction=fraction).split()
