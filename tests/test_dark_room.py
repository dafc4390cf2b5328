"""Dark rooms: the papers' facts, gaps by brute force, DPT's labels, the splits."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edges import at_least, hold

import envs
from envs import grid
from envs.dark_room import DarkRoomFamily, DarkRoomState
from envs.splits import stack_tasks
from icrl.algorithms import optimal
from icrl.algorithms.dark_room.goal_posterior import best_actions
from icrl.rollout import rollout

MOVES = [(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)]
TEST_GOALS = (
    "(2,5)(3,7)(8,1)(4,6)(3,9)(6,5)(5,8)(1,2)(8,8)(7,0)"
    "(8,7)(3,6)(2,1)(8,3)(0,9)(9,6)(6,7)(6,4)(4,7)(4,4)"
)
DPT = envs.family("DarkRoom-DPT-v0")
SMALL = DarkRoomFamily(horizon=6, size=4, start=(1, 2))


def gaps_by_enumeration(task, state):
    """Gaps from every sequence of actions, walked in plain Python."""
    goal, order = task.goal.tolist(), task.action_order.tolist()

    @functools.cache
    def best_return(x, y, paid, steps_left):
        if steps_left == 0:
            return 0
        return max(q_value(x, y, paid, action, steps_left) for action in range(5))

    def q_value(x, y, paid, action, steps_left):
        dx, dy = MOVES[order[action]]
        x = min(max(x + dx, 0), task.size - 1)
        y = min(max(y + dy, 0), task.size - 1)
        pays = [x, y] == goal and not paid
        paid = paid or (pays and task.reward_once)
        return pays + best_return(x, y, paid, steps_left - 1)

    here = (*state.position.tolist(), bool(state.paid))
    steps_left = task.horizon - int(state.step)
    q_values = [q_value(*here, action, steps_left) for action in range(5)]
    return max(q_values) - np.array(q_values)


def label_of_the_released_code(x, y, goal):
    """x first, then y, then stay."""
    if x != goal[0]:
        return 0 if goal[0] > x else 1
    if y != goal[1]:
        return 2 if goal[1] > y else 3
    return 4


@pytest.mark.parametrize("reward_once", [False, True])
@pytest.mark.parametrize("order", [None, (2, 4, 0, 3, 1)])
def test_gaps_are_those_of_enumerating_all_walks(reward_once, order):
    task = SMALL.replace(reward_once=reward_once).task((3, 2), order)
    states = [
        DarkRoomState(
            step=jnp.asarray(step),
            position=jnp.array([x, y]),
            paid=jnp.asarray(paid and reward_once),
        )
        for step in (0, 3, 5)
        for x, y in [(0, 0), (1, 2), (2, 2), (3, 1), (3, 2), (3, 3)]
        for paid in (False, True)
    ]
    gaps = jax.jit(jax.vmap(task.gaps))(stack_tasks(states))
    expected = [gaps_by_enumeration(task, state) for state in states]
    np.testing.assert_array_equal(gaps, expected)
    assert {*np.unique(gaps)} == ({0, 1} if reward_once else {0, 1, 2})


@pytest.mark.parametrize("name", ["DarkRoom-DPT-v0", "DarkRoom-AD-v0"])
def test_the_first_action_of_least_gap_is_the_label_of_the_released_code(name):
    family = envs.family(name)
    positions, last = grid.all_positions(family.size), family.size - 1

    def labels(goal):
        def label(cell):
            task = family.task(goal)
            state = task.state_from_obs(jnp.asarray(0), cell)
            return jnp.argmin(task.gaps(state))

        return jax.vmap(label)(jnp.arange(family.observation.n))

    found = np.asarray(jax.jit(jax.vmap(labels))(jnp.asarray(positions)))
    for goal, row in zip(positions.tolist(), found.tolist(), strict=True):
        for (x, y), action in zip(positions.tolist(), row, strict=True):
            if [x, y] == goal and {x, y} & {0, last}:  # a bump is a way to stay
                walls = [x == last, x == 0, y == last, y == 0]
                assert action == walls.index(True)
            else:
                assert action == label_of_the_released_code(x, y, goal)


@pytest.mark.parametrize("name", ["DarkRoom-DPT-v0", "DarkRoom-AD-v0"])
def test_posteriors_vote_for_the_label_of_the_released_code_by_walls_too(name):
    family = envs.family(name)
    cells = grid.all_positions(family.size).tolist()
    expected = [
        [label_of_the_released_code(x, y, goal) for x, y in cells] for goal in cells
    ]
    np.testing.assert_array_equal(best_actions(family), expected)


def test_moves_are_clipped_at_the_walls_and_arriving_pays():
    task = DPT.task((1, 0))
    state, obs = task.reset(jax.random.key(0))
    assert int(obs) == 0
    history = []
    for action in (1, 3, 0, 4, 0, 2):  # two walls, arrive, stay, leave, up
        state, timestep = task.step(jax.random.key(1), state, jnp.asarray(action))
        history.append((int(timestep.obs), float(timestep.reward)))
    assert history == [(0, 0), (0, 0), (10, 1), (10, 1), (20, 0), (21, 0)]


def test_a_goal_that_pays_once_pays_once():
    task = envs.family("DarkRoomHard-AD-v0").task((9, 8))
    state, _ = task.reset(jax.random.key(0))
    rewards = []
    for action in (0, 4, 1, 0):  # arrive, stay, leave, arrive again
        state, timestep = task.step(jax.random.key(1), state, jnp.asarray(action))
        rewards.append(float(timestep.reward))
    assert rewards == [1, 0, 0, 0]
    assert not task.gaps(state).any()
    with pytest.raises(NotImplementedError, match="whether the goal has paid"):
        task.state_from_obs(jnp.asarray(0), jnp.asarray(0))


def test_the_test_goals_are_those_of_the_dpt_code():
    split = DPT.split()
    goals = split.test.tasks.goal.tolist()
    assert "".join(f"({x},{y})" for x, y in goals) == TEST_GOALS
    everything = goals + split.train.tasks.goal.tolist()
    assert sorted(everything) == [[x, y] for x in range(10) for y in range(10)]


def optimal_returns(tasks, horizon):
    def one(task, key):
        played = rollout(key, jax.random.key(1), task, optimal(task))
        return played.timestep.reward.sum()

    keys = jax.random.split(jax.random.key(0), tasks.goal.shape[0])
    return np.asarray(jax.jit(jax.vmap(one))(tasks, keys))


def test_the_optimal_return_of_the_test_goals_is_that_of_the_paper():
    tasks = DPT.split().test.tasks
    returns = optimal_returns(tasks, DPT.horizon)
    np.testing.assert_array_equal(returns, 101 - tasks.goal.sum(-1))
    assert returns.mean() == pytest.approx(90.9)  # its "expert dataset" bar
    np.testing.assert_array_equal(tasks.optimal_return, returns)


@pytest.mark.parametrize(
    ("name", "start", "size"),
    [("DarkRoom-AD-v0", 4, 9), ("DarkRoomHard-AD-v0", 8, 17)],
)
def test_rooms_of_ad_begin_in_the_middle_and_every_goal_is_within_reach(
    name, start, size
):
    family = envs.family(name)
    tasks = jax.vmap(family.task)(jnp.asarray(grid.all_positions(size)))
    way = abs(grid.all_positions(size) - start).sum(-1)
    pays = 21 - np.maximum(way, 1)
    expected = np.ones_like(pays) if family.reward_once else pays
    np.testing.assert_array_equal(tasks.optimal_return, expected)
    split = family.split()
    assert (len(split.train), len(split.test)) == {9: (65, 16), 17: (231, 58)}[size]


def test_permuted_actions_do_their_move_and_20_orders_are_held_out():
    family = envs.family("DarkRoomPermuted-DPT-v0")
    split = family.split()
    assert (len(split.train), len(split.test)) == (100, 20)
    orders = np.concatenate(
        [half.tasks.action_order for half in (split.train, split.test)]
    )
    shuffled = list(itertools.permutations(range(5)))
    np.random.RandomState(0).shuffle(shuffled)
    np.testing.assert_array_equal(orders, shuffled)
    tasks = split.test.tasks
    assert set(optimal_returns(tasks, family.horizon)) == {83.0}
    task = family.task((9, 9), (4, 3, 0, 2, 1))  # the third action goes right
    state, _ = task.reset(jax.random.key(0))
    state, timestep = task.step(jax.random.key(1), state, jnp.asarray(2))
    assert state.position.tolist() == [1, 0]
    assert int(timestep.obs) == 10


def test_of_three_tasks_any_goal_with_any_order_may_be_held_out():
    family = envs.family("DarkRoomThreeTasks-DPT-v0")
    split = family.split()
    train, test = (
        np.concatenate([half.tasks.goal, half.tasks.action_order], axis=-1)
        for half in (split.train, split.test)
    )
    assert (len(train), len(test)) == (9600, 2400)
    assert len(np.unique(np.concatenate([train, test]), axis=0)) == 100 * 120
    for part in (np.s_[:, :2], np.s_[:, 2:]):  # none of them is new by itself
        assert {*map(tuple, test[part])} <= {*map(tuple, train[part])}
    way = np.maximum(test[:, :2].sum(-1), 1)
    np.testing.assert_array_equal(split.test.tasks.optimal_return, 31 - way)


def test_a_cell_is_shown_by_its_column_and_its_row():
    features = DPT.observation.features
    assert features.shape == (100, 20)
    assert np.flatnonzero(features[37]).tolist() == [3, 10 + 7]
    assert (features.sum(-1) == 2).all()
    assert len(np.unique(features, axis=0)) == 100


def test_a_cell_can_be_shown_by_two_numbers_too():
    both = DPT.replace(numbers=True)
    features = both.observation.features
    np.testing.assert_array_equal(features[:, :20], DPT.observation.features)
    np.testing.assert_allclose(features[37, 20:], [-3 / 9, 5 / 9], rtol=1e-6)
    np.testing.assert_array_equal(features[[0, 99], 20:], [[-1, -1], [1, 1]])
    assert both.split().hash == DPT.split().hash  # the same tasks


def test_goals_are_uniform_over_all_cells():
    keys = jax.random.split(jax.random.key(0), 10_000)
    goals = jax.jit(jax.vmap(DPT.sample))(keys).goal
    counts = np.bincount(np.asarray(grid.cell_at(goals, 10)), minlength=100)
    assert abs(counts - 100).max() < 5 * (100 * 0.99) ** 0.5
    chi_square = ((counts - 100) ** 2 / 100).sum()
    assert abs(chi_square - 99) < 5 * (2 * 99) ** 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": (10, 0)}, r"start must lie in the 10x10 grid, got \(10, 0\)"),
        ({"goals": ()}, r"goals must be 'all' or cells, got \(\)"),
        ({"goals": ((0, 10),)}, r"a goal must lie in the 10x10 grid, got \(0, 10\)"),
        ({"test_fraction": 1.0}, r"test_fraction must lie in \(0, 1\), got 1.0"),
        ({"goals": ((1, 1),)}, "both halves must have some of 1 tasks, got 1 to train"),
    ],
)
def test_bad_families_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DPT.replace(**changes).split()


def test_a_room_has_two_cells_a_side_at_least():
    hold(at_least(2), "size", lambda size: DPT.replace(size=size))


def test_a_task_that_is_none_is_refused():
    where = "a goal must lie in the 10x10 grid, got "
    with pytest.raises(ValueError, match=where + r"\(12, 3\)$"):
        DPT.task((12, 3))
    with pytest.raises(ValueError, match=where + r"\(0, -1\)$"):
        DPT.task(jnp.array([0, -1]))
    with pytest.raises(ValueError, match=r"0 to 4 once each, got \(0, 1, 2, 3, 3\)$"):
        DPT.task((0, 1), (0, 1, 2, 3, 3))
