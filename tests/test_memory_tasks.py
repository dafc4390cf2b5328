"""Tasks that are won by memory: their rules, their optimum, what they show."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import memory_maze, numpad, t_maze
from icrl import algorithms
from icrl.algorithms.base import Algorithm
from icrl.rollout import rollout


def make(name, seed=0, **changes):
    family = envs.family(name, **changes)
    return family, family.sample(jax.random.key(seed))


def play(task, actions):
    """Observations, rewards and states of a list of actions."""
    key = jax.random.key(0)
    state, obs = task.reset(key)
    seen, rewards, states = [np.asarray(obs)], [], [state]
    for number, action in enumerate(actions):
        state, timestep = task.step(
            jax.random.fold_in(key, number), state, jnp.asarray(action)
        )
        seen.append(np.asarray(timestep.obs))
        rewards.append(float(timestep.reward))
        states.append(state)
    assert bool(timestep.truncated) == (len(actions) == task.horizon)
    return seen, rewards, states


def test_the_corridor_shows_its_cue_once_and_pays_for_the_turn():
    _, maze = make("PassiveTMaze-v0", horizon=6)
    right, goal = t_maze.RIGHT, int(maze.reset(jax.random.key(0))[0].goal)
    other = t_maze.UP + t_maze.DOWN - goal
    seen, rewards, _ = play(maze, [right] * 5 + [goal])
    assert rewards == [0] * 5 + [1]
    assert seen[0].tolist() == [1 if goal == t_maze.UP else -1, 0]
    assert [x.tolist() for x in seen[1:5]] == [[0, 0]] * 4
    assert seen[5].tolist() == [0, 1]
    assert play(maze, [right] * 5 + [other])[1] == [0] * 6
    # one step aside, and no step on the straight way is left
    _, rewards, _ = play(maze, [right, goal, right, right, right, goal])
    np.testing.assert_allclose(rewards, [0, -0.2, -0.2, -0.2, -0.2, 0], atol=1e-6)


def test_both_cues_are_as_likely():
    family = envs.family("PassiveTMaze-v0")
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(1), 2000))
    states, _ = jax.vmap(lambda task: task.reset(jax.random.key(0)))(tasks)
    assert abs((states.goal == t_maze.UP).mean() - 0.5) < 0.04


@pytest.mark.parametrize(
    ("name", "optimum", "chance"),
    [
        ("PassiveTMaze-v0", 1.0, None),
        ("MemoryLength-v0", 1.0, 0.0),
        ("RepeatPrevious-v0", 1.0, -0.5),
    ],
)
def test_the_least_gap_earns_the_optimum_and_uniform_play_what_is_stated(
    name, optimum, chance
):
    family = envs.family(name, horizon=12)

    def least_gap(task):
        """It follows the task's own steps beside the agent."""

        def act(key, state, obs):
            return state, jnp.argmin(task.gaps(state))

        def update(state, obs, action, timestep):
            return task.step(jax.random.key(0), state, action)[0]

        return Algorithm(
            init=lambda: task.reset(jax.random.key(0))[0],
            begin_episode=lambda key, state: state,
            act=act,
            update=update,
        )

    def total(key, make):
        key_task, *keys = jax.random.split(key, 3)
        task = family.sample(key_task)
        return rollout(*keys, task, make(task)).timestep.reward.sum()

    keys = jax.random.split(jax.random.key(3), 1000)
    some = jax.random.split(jax.random.key(4), 50)
    best = jax.jit(jax.vmap(lambda key: total(key, least_gap)))(some)
    np.testing.assert_allclose(best, optimum, atol=1e-5)
    if chance is not None:
        uniform = algorithms.uniform(family)
        found = jax.jit(jax.vmap(lambda key: total(key, lambda task: uniform)))(keys)
        np.testing.assert_allclose(found.mean(), chance, atol=0.1)


def test_the_right_card_is_the_one_back():
    family, task = make("RepeatPrevious-v0", back=3)
    suits = np.asarray(task.reset(jax.random.key(0))[0].suits)
    assert np.bincount(suits).tolist() == [13] * 4
    answers = [0, 0, *suits[:49]]  # at step t the card at t - 2
    seen, rewards, _ = play(task, answers)
    np.testing.assert_array_equal(np.stack(seen), suits)
    assert rewards[:2] == [0, 0]
    np.testing.assert_allclose(rewards[2:], 1 / 49, rtol=1e-5)
    assert family.horizon == 51


def orders(pads):
    """All orders that cannot be made longer, by enumeration."""
    places = list(itertools.product(range(pads), repeat=2))

    def grow(order):
        x, y = order[-1]
        free = [
            (a, b)
            for a, b in places
            if (a, b) not in order and max(abs(a - x), abs(b - y)) == 1
        ]
        if not free:
            yield tuple(a * pads + b for a, b in order)
        for place in free:
            yield from grow((*order, place))

    return {order for first in places for order in grow((first,))}


@pytest.mark.parametrize("pads", [2, 3])
def test_orders_are_paths_that_end_where_no_pad_is_left(pads):
    draw = jax.jit(jax.vmap(lambda key: numpad.draw_order(key, pads)))
    drawn = np.asarray(draw(jax.random.split(jax.random.key(0), 2000)))
    found = {tuple(pad for pad in order if pad >= 0) for order in drawn.tolist()}
    assert found <= orders(pads)
    if pads == 2:
        assert len(found) == 24


def walk(task, state, pad):
    """Moves to a pad along lines without pads."""
    moves = []
    x, y = (int(v) for v in state)
    to_x, to_y = 2 * (pad // task.pads) + 1, 2 * (pad % task.pads) + 1
    right, left, up, down = range(4)
    while (x, y) != (to_x, to_y):
        on_line = x % 2 == 0 or y % 2 == 0
        if abs(x - to_x) + abs(y - to_y) == 1 or not on_line:
            horizontal = x != to_x
        else:  # along a line as far as the pad's neighbour
            horizontal = y % 2 == 0 and x != to_x
        if horizontal:
            moves.append(right if to_x > x else left)
            x += 1 if to_x > x else -1
        else:
            moves.append(up if to_y > y else down)
            y += 1 if to_y > y else -1
    return moves


@pytest.mark.parametrize("seed", range(4))
def test_pads_in_their_order_pay_and_a_wrong_one_puts_them_out(seed):
    _, task = make("Numpad-v0", seed=seed)
    state, _ = task.reset(jax.random.key(0))
    order = [int(pad) for pad in state.order]
    moves, at, pressed = [], state.position, []
    for pad in (*order, *order):
        moves += walk(task, at, pad)
        pressed.append(len(moves) - 1)
        at = jnp.array([2 * (pad // 2) + 1, 2 * (pad % 2) + 1])
    seen, rewards, _ = play(task, moves)
    assert np.flatnonzero(rewards).tolist() == pressed
    lit = [int(now[10:].sum()) for now in seen]
    assert [lit[step + 1] for step in pressed] == [1, 2, 3, 0, 1, 2, 3, 0]
    # the first, then a wrong one, then the first again, which pays no second time
    first, wrong = order[0], order[2]
    moves = walk(task, state.position, first)
    place = jnp.array([2 * (first // 2) + 1, 2 * (first % 2) + 1])
    to_wrong = walk(task, place, wrong)
    place = jnp.array([2 * (wrong // 2) + 1, 2 * (wrong % 2) + 1])
    moves = [*moves, *to_wrong, *walk(task, place, first)]
    seen, rewards, _ = play(task, moves)
    assert sum(rewards) == 1
    lit = [int(now[10:].sum()) for now in seen]
    assert lit[-1] == 1 and lit[-1 - len(walk(task, place, first))] == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_best_return_is_what_the_shortest_ways_earn(seed):
    _, task = make("Numpad-v0", seed=seed, horizon=60)
    state, _ = task.reset(jax.random.key(0))
    moves, at = [], state.position
    for pad in itertools.cycle([int(pad) for pad in state.order]):
        moves += walk(task, at, pad)
        at = jnp.array([2 * (pad // 2) + 1, 2 * (pad % 2) + 1])
        if len(moves) >= 60:
            break
    _, rewards, _ = play(task, moves[:60])
    assert float(task.best_return()) == sum(rewards)


def test_an_apple_pays_and_puts_the_agent_elsewhere():
    family, task = make("MemoryMaze-v0", size=5)
    state, obs = task.reset(jax.random.key(0))
    assert obs.shape == family.observation.shape == (9 * 8,)
    apple = state.apple
    beside = jnp.where(apple[0] > 0, -1, 1)
    state = state._replace(position=apple + jnp.array([beside, 0]))
    shown = task._show(state).reshape(3, 3, 8)
    assert shown[1 - int(beside), 1, 1] == 1 and shown[..., 1].sum() == 1
    move = 0 if int(beside) < 0 else 1

    def end(key):
        after, timestep = task.step(key, state, jnp.asarray(move))
        return after.position, timestep.reward

    keys = jax.random.split(jax.random.key(1), 2000)
    cells, rewards = jax.jit(jax.vmap(end))(keys)
    assert (rewards == 1).all()
    numbers = np.asarray(cells[:, 0] * 5 + cells[:, 1])
    counts = np.bincount(numbers, minlength=25)
    assert counts[int(apple[0]) * 5 + int(apple[1])] == 0
    assert (np.delete(counts, int(apple[0]) * 5 + int(apple[1])) > 40).all()


def test_landmarks_and_apple_lie_in_cells_of_their_own():
    family = envs.family("MemoryMaze-v0", size=4, num_landmarks=5)
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 200))
    states, _ = jax.vmap(lambda task: task.reset(jax.random.key(0)))(tasks)
    things = jnp.concatenate([states.apple[:, None], states.landmarks], axis=1)
    numbers = np.sort(np.asarray(things[..., 0] * 4 + things[..., 1]))
    assert (np.diff(numbers) > 0).all()
    assert isinstance(states, memory_maze.MemoryMazeState)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("PassiveTMaze-v0", {"horizon": 1}, "horizon must be at least 2, got 1"),
        ("RepeatPrevious-v0", {"back": 60}, "horizon must be at least back = 60"),
        ("RepeatPrevious-v0", {"horizon": 53}, "horizon must be at most 52, got 53"),
        ("Numpad-v0", {"pads": 1}, "pads must be at least 2, got 1"),
        ("MemoryMaze-v0", {"size": 2, "num_landmarks": 3}, r"must lie in \[1, 2\]"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        envs.family(name, **changes)
