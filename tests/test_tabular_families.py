"""Families of tabular MDPs: what their docstrings say, by other routes.

Over 300 lines: a brute force for each family stands beside its tests.
"""

import collections
import functools
import itertools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edges import at_least, hold

import envs
from envs import viewer
from envs.chain import ChainFamily
from envs.codes import half_of
from envs.deep_sea import DeepSeaFamily
from envs.ergodic_mdp import ErgodicMDPFamily
from envs.frozen_lake import CLASSICAL, FrozenLakeFamily
from envs.garnet import GarnetFamily
from envs.random_mdp import RandomMDPFamily
from envs.river_swim import RiverSwimFamily
from envs.tabular_mdp import MDPState

GARNET = GarnetFamily(horizon=5, states=8, actions=3, branching=3)
RIVER = RiverSwimFamily(horizon=20)
SEA = DeepSeaFamily(horizon=10)
CHAIN = ChainFamily(horizon=20)
LAKE = FrozenLakeFamily(horizon=30)
ERGODIC = ErgodicMDPFamily(horizon=5)


@functools.cache
def sample(family, number=500):
    keys = jax.random.split(jax.random.key(0), number)
    return jax.jit(jax.vmap(family.sample))(keys)


@functools.cache
def make(family):
    """`family.task`, compiled: a plain call would compile its plan anew."""
    return jax.jit(family.task)


def codes_of(family, number=4096, seed=0):
    keys = jax.random.split(jax.random.key(seed), number)
    return np.asarray(jax.jit(jax.vmap(family.draw_code))(keys))


def q_values_by_loops(outcomes, states, actions, horizon):
    """Backward induction over lists of (probability, next state, reward)."""
    values = np.zeros(states)
    q_values = np.zeros((horizon, states, actions))
    for step in reversed(range(horizon)):
        for state, action in np.ndindex(states, actions):
            q_values[step, state, action] = sum(
                probability * (reward + values[after])
                for probability, after, reward in outcomes(state, action)
            )
        values = q_values[step].max(-1)
    return q_values


def play(task, actions, seed=0):
    """Observations and rewards of a sequence of actions."""
    key_reset, key_steps = jax.random.split(jax.random.key(seed))
    state, obs = task.reset(key_reset)
    keys = jax.random.split(key_steps, len(actions))
    _, timesteps = take_steps(task, state, keys, jnp.asarray(actions))
    return [int(obs), *timesteps.obs.tolist()], timesteps.reward.tolist()


@jax.jit
def take_steps(task, state, keys, actions):
    def step(state, drawn):
        return task.step(drawn[0], state, drawn[1])

    return jax.lax.scan(step, state, (keys, actions))


def gaps(task, step, position):
    return task.gaps(MDPState(step=jnp.asarray(step), position=jnp.asarray(position)))


# Random MDPs.


def test_rows_of_random_mdps_are_dirichlet():
    for concentration in (1.0, 0.3):
        family = RandomMDPFamily(horizon=2, states=4, concentration=concentration)
        rows = np.asarray(sample(family).transitions).reshape(-1, 4)
        variance = 3 / 16 / (4 * concentration + 1)
        np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-6)
        np.testing.assert_allclose(rows.mean(0), 0.25, atol=0.015)
        np.testing.assert_allclose(rows.var(0), variance, rtol=0.08)


# Garnet.


def test_every_action_of_a_garnet_leads_to_as_many_states_as_its_branching():
    for branching in (1, 3):
        tasks = sample(GARNET.replace(branching=branching))
        reached = np.asarray(tasks.transitions) > 0
        assert (reached.sum(-1) == branching).all()
        np.testing.assert_allclose(tasks.transitions.sum(-1), 1, atol=1e-6)


def test_next_states_of_a_garnet_are_uniform_and_its_cuts_too():
    transitions = np.asarray(sample(GARNET).transitions)
    reached = transitions > 0
    np.testing.assert_allclose(reached.mean((0, 1, 2)), 3 / 8, atol=0.02)
    pieces = np.sort(transitions[reached].reshape(-1, 3), -1)
    # Of three pieces of the unit interval, smallest to largest (Feller, vol. 2, I.13).
    np.testing.assert_allclose(pieces.mean(0), [2 / 18, 5 / 18, 11 / 18], atol=0.005)


def test_rewards_of_a_garnet_are_normal_or_sparse():
    normal = np.asarray(sample(GARNET).rewards)
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=0.04)
    family = GARNET.replace(reward_prior="sparse", rewarding=2)
    sparse = np.asarray(sample(family).rewards)
    assert ((sparse[..., 0] > 0).sum(-1) == 2).all()
    assert (sparse == sparse[..., :1]).all()  # whatever is done there
    np.testing.assert_allclose((sparse > 0).mean((0, 2)), 2 / 8, atol=0.1)
    np.testing.assert_allclose(sparse[sparse > 0].mean(), 0.5, atol=0.05)


# Ergodic MDPs.


def test_every_action_reaches_all_neighbours_and_no_other_state():
    transitions = np.asarray(sample(ERGODIC).transitions)
    for state, after in np.ndindex(16, 16):
        way = min((after - state) % 16, (state - after) % 16)
        column = transitions[:, state, :, after]
        assert (column >= 0.02 - 1e-6).all() if way <= 2 else (column == 0).all()
    np.testing.assert_allclose(transitions.sum(-1), 1, atol=1e-6)


def test_every_policy_visits_every_state():
    transitions = np.asarray(sample(ERGODIC).transitions, np.float64)
    surely = transitions.min(2)  # [tasks, from, to]: at least, whatever is done
    assert (np.linalg.matrix_power(surely, 4) > 0).all()  # half the ring, by twos


def test_states_of_the_ring_are_alike():
    tasks = sample(ERGODIC)
    paid = np.asarray(tasks.arrival_rewards)
    np.testing.assert_allclose(paid.std(0), 1, atol=0.16)  # 5 standard errors
    np.testing.assert_allclose(np.asarray(tasks.rewards).std(), 0.2, atol=0.01)
    stay = np.asarray(tasks.transitions)[:, np.arange(16), :, np.arange(16)]
    np.testing.assert_allclose(stay.mean((1, 2)), 1 / 5, atol=0.02)


# RiverSwim.


def classical_river(state, action):
    if action == 0:
        return [(1.0, max(state - 1, 0), 0.005 * (state == 0))]
    if state == 0:
        return [(0.4, 0, 0.0), (0.6, 1, 0.0)]
    if state == 5:
        return [(0.4, 4, 1.0), (0.6, 5, 1.0)]
    return [(0.05, state - 1, 0.0), (0.6, state, 0.0), (0.35, state + 1, 0.0)]


def test_the_classical_river_is_that_of_osband():
    q_values = q_values_by_loops(classical_river, states=6, actions=2, horizon=20)
    task = RIVER.task()
    np.testing.assert_allclose(task.q_values, q_values, atol=1e-5)
    np.testing.assert_allclose(task.optimal_return, 3.39726, atol=1e-5)


def test_a_hidden_order_swaps_the_actions_of_a_state_and_no_more():
    code = jnp.array([1, 0, 0, 1, 0, 1])
    hidden, classical = (make(RIVER)(code) for code in (code, jnp.ones(6, int)))
    for state in range(6):
        order = [0, 1] if code[state] == 1 else [1, 0]
        for field in ("transitions", "rewards"):
            ours, theirs = getattr(hidden, field), getattr(classical, field)
            np.testing.assert_array_equal(ours[state], theirs[state][jnp.array(order)])


# Deep sea.


def dive_by_rule(code, actions, size=10):
    """Cells and rewards of a dive, by the rules of the paper on its grid."""
    column, path, rewards = 0, [0], []
    for row, action in enumerate(actions):
        right = action == code[row * (row + 1) // 2 + column]
        treasure = right and row == column == size - 1
        rewards.append(treasure - 0.01 / size * right)
        column = column + 1 if right else max(column - 1, 0)
        path.append((row + 1) * (row + 2) // 2 + (column if row + 1 < size else 0))
    return path, rewards


def test_dives_are_those_of_the_rule():
    random = np.random.default_rng(0)
    for number in range(5):
        code = random.integers(0, 2, 55)
        actions = random.integers(0, 2, 10)
        path, rewards = dive_by_rule(code, actions)
        obs, paid = play(make(SEA)(jnp.asarray(code)), actions, seed=number)
        assert obs == path
        np.testing.assert_allclose(paid, rewards, atol=1e-7)


def test_only_going_right_throughout_finds_the_treasure():
    code = codes_of(SEA, 1)[0]
    task = make(SEA)(jnp.asarray(code))
    diagonal = [row * (row + 1) // 2 + row for row in range(10)]
    obs, rewards = play(task, code[diagonal])
    assert obs == [*diagonal, 55]
    np.testing.assert_allclose(sum(rewards), 0.99, atol=1e-6)
    np.testing.assert_allclose(task.optimal_return, 0.99, atol=1e-6)
    for row, cell in enumerate(diagonal):  # one wrong step: nothing is left to win
        wrong = gaps(task, row, cell)[1 - code[cell]]
        np.testing.assert_allclose(wrong, 1 - 0.001 * (10 - row), atol=1e-6)


def test_the_end_of_the_sea_is_terminal():
    task = make(SEA)(jnp.ones(55, int))
    state = MDPState(step=jnp.asarray(9), position=jnp.asarray(50))
    _, timestep = task.step(jax.random.key(0), state, jnp.asarray(0))
    assert bool(timestep.terminated)
    assert int(timestep.obs) == SEA.num_states - 1


# Chain.


def test_a_wrong_action_costs_the_way_already_made_and_itself():
    code = codes_of(CHAIN, 1)[0]
    task = make(CHAIN)(jnp.asarray(code))
    np.testing.assert_allclose(task.optimal_return, 20 - 5 + 1)
    for position in range(5):
        exact = np.where(np.arange(3) == code[position], 0, position + 1)
        np.testing.assert_allclose(gaps(task, position, position), exact)
    np.testing.assert_array_equal(gaps(task, 9, 5), 0)  # open


def test_only_the_combination_opens_the_lock():
    code = codes_of(CHAIN, 1, seed=3)[0]
    task = make(CHAIN)(jnp.asarray(code))
    obs, rewards = play(task, [*code, 0, 1])
    assert (obs, sum(rewards)) == ([0, 1, 2, 3, 4, 5, 5, 5], 3)
    obs, rewards = play(task, [*code[:3], (code[3] + 1) % 3])
    assert (obs, sum(rewards)) == ([0, 1, 2, 3, 0], 0)


# Frozen lakes.


@pytest.mark.parametrize("picture", [CLASSICAL, "SFF/FFH/HFG"])
@pytest.mark.parametrize("slippery", [True, False])
def test_a_lake_is_that_of_gymnasium(picture, slippery):
    description = picture.split("/")
    theirs = gymnasium.make(
        "FrozenLake-v1", desc=description, is_slippery=slippery
    ).unwrapped.P
    size, horizon = len(description), 50

    def outcomes(state, action):
        return [
            (chance, after, paid) for chance, after, paid, _ in theirs[state][action]
        ]

    family = LAKE.replace(
        size=size, horizon=horizon, slip_probability=2 / 3 if slippery else 0.0
    )
    task = family.task(picture)
    q_values = q_values_by_loops(outcomes, size**2, 4, horizon)
    np.testing.assert_allclose(task.q_values, q_values, atol=1e-5)
    over = np.zeros(size**2, bool)
    for state, action in np.ndindex(size**2, 4):
        row = np.zeros(size**2)
        for chance, after, _, terminated in theirs[state][action]:
            row[after] += chance
            over[after] |= terminated
        np.testing.assert_allclose(task.transitions[state, action], row, atol=1e-6)
    np.testing.assert_array_equal(task.terminal, over)


def test_a_lake_can_be_seen():
    family = LAKE.replace(size=3)
    task = family.task("SFF/FFH/HFG")
    state = MDPState(step=jnp.asarray(0), position=jnp.asarray(1))
    picture = task.picture(state)
    assert picture.agent == (1, 2)  # the upper row, in the middle
    marks = {(mark.x, mark.y): mark.kind for mark in picture.marks}
    assert marks == {(0, 2): "start", (2, 1): "hole", (0, 0): "hole", (2, 0): "goal"}
    assert viewer.render(task, state).shape[-1] == 3


def test_gymnasiums_default_map_is_the_classical_one():
    made = gymnasium.make("FrozenLake-v1").unwrapped
    rows = ["".join(letter.decode() for letter in row) for row in made.desc]
    assert "/".join(rows) == CLASSICAL


def crosses(holes, size):
    """Whether a search, cell by cell, comes from the first to the last."""
    seen, queue = {(0, 0)}, collections.deque([(0, 0)])
    while queue:
        row, column = queue.popleft()
        beside = [(row + 1, column), (row - 1, column)]
        beside += [(row, column + 1), (row, column - 1)]
        for cell in beside:
            inside = 0 <= cell[0] < size and 0 <= cell[1] < size
            if inside and cell not in seen and not holes[cell[0] * size + cell[1]]:
                seen.add(cell)
                queue.append(cell)
    return (size - 1, size - 1) in seen


@pytest.mark.parametrize("size", [4, 8])
def test_a_path_is_found_if_there_is_one(size):
    family = LAKE.replace(size=size)
    random = np.random.default_rng(size)
    holes = random.uniform(size=(400, size**2)) < random.uniform(0.2, 0.5, (400, 1))
    holes[:, [0, -1]] = False
    found = jax.jit(jax.vmap(family.has_path))(jnp.asarray(holes))
    exact = [crosses(lake, size) for lake in holes]
    assert 40 < sum(exact) < 360
    np.testing.assert_array_equal(found, exact)


def test_lakes_are_drawn_as_those_with_a_path_are():
    drawn = codes_of(LAKE)
    random = np.random.default_rng(0)
    fair = random.uniform(size=(8000, 16)) < 0.2
    fair[:, [0, -1]] = False
    fair = fair[[crosses(lake, 4) for lake in fair]]
    assert all(crosses(lake, 4) for lake in drawn[:500])
    np.testing.assert_allclose(drawn.mean(0), fair.mean(0), atol=0.035)


def test_a_lake_of_many_holes_still_has_a_path():
    for probability in (0.7, 1.0):
        drawn = codes_of(LAKE.replace(hole_probability=probability), 20)
        assert all(crosses(lake, 4) for lake in drawn)
        assert drawn.mean() > 0.3


@pytest.mark.parametrize(
    ("picture", "rule"),
    [
        ("SFFF/FHFH/FFFH", "a map must have 4 rows of 4 letters"),
        ("SFFF/FHFH/FFFH/HFF", "a map must have 4 rows of 4 letters"),
        ("GFFF/FHFH/FFFH/HFFS", "a map must begin with S"),
        ("SFFF/FXFH/FFFH/HFFG", "F or H elsewhere, got 'SFFF/FXFH"),
    ],
)
def test_a_map_that_is_none_is_refused(picture, rule):
    with pytest.raises(ValueError, match=rule):
        LAKE.task(picture)


# Codes, and the halves they stand in.


def test_halves_of_rivers_hold_all_and_share_none():
    codes = jnp.array(list(itertools.product((0, 1), repeat=6)))
    halves = np.asarray(jax.vmap(half_of)(codes))
    split = RIVER.split()
    expected = jax.vmap(lambda code: RIVER.task(code).transitions)(codes)
    for half, tasks in enumerate((split.train, split.test)):
        keys = jax.random.split(jax.random.key(half), 1000)
        drawn = jax.jit(jax.vmap(tasks.sample))(keys).transitions
        same = np.asarray(drawn).reshape(1000, 1, -1) == np.asarray(expected).reshape(
            1, 64, -1
        )
        counts = same.all(-1).sum(0)
        np.testing.assert_array_equal(counts > 0, halves == half)
        assert counts.sum() == 1000


@pytest.mark.parametrize("values", [2, 3, 4])
@pytest.mark.parametrize("digits", [2, 3, 5])
def test_both_halves_hold_codes_of_every_length(values, digits):
    codes = jnp.array(list(itertools.product(range(values), repeat=digits)))
    tests = float(jax.vmap(half_of)(codes).mean())
    assert 0.25 <= tests <= 0.75


def test_no_digit_tells_the_half():
    codes = codes_of(SEA)
    halves = np.asarray(jax.vmap(half_of)(jnp.asarray(codes)))
    np.testing.assert_allclose(halves.mean(), 0.5, atol=0.04)
    signs = 2 * codes - 1
    told = abs((signs * (2 * halves - 1)[:, None]).mean(0))
    assert told.max() < 5 / 4096**0.5
    pairs = abs(np.einsum("ni,nj,n->ij", signs, signs, 2 * halves - 1)) / 4096
    assert pairs.max() < 5.5 / 4096**0.5
    assert abs((signs.prod(1) * (2 * halves - 1)).mean()) < 5 / 4096**0.5  # parity


def test_the_half_of_a_code_never_changes():
    codes = jnp.array(list(itertools.product((0, 1), repeat=5)))
    halves = "".join(map(str, jax.vmap(half_of)(codes).tolist()))
    assert halves == "00111000011100001010100010101111"


# What is refused.


@pytest.mark.parametrize("field", ["states", "actions"])
def test_an_mdp_has_a_state_and_an_action_at_least(field):
    hold(at_least(1), field, lambda n: RandomMDPFamily(horizon=1, **{field: n}))


@pytest.mark.parametrize("family", [RIVER, SEA, CHAIN, LAKE])
def test_a_code_that_is_none_is_refused(family):
    code = jnp.asarray(codes_of(family, 1)[0])
    with pytest.raises(ValueError, match=rf"a code must have shape \({len(code)},\)"):
        family.task(code[1:])
    with pytest.raises(ValueError, match="a code must have digits in"):
        family.task(code.at[1].set(-1))


def test_a_family_of_one_task_has_no_halves():
    lake = envs.family("FrozenLake-4x4-v0", hole_probability=0.0)
    with pytest.raises(
        ValueError, match=r"draw from both halves of the tasks.*got (0|256)"
    ):
        lake.split()


def test_a_half_that_is_too_small_to_draw_from_is_refused():
    with pytest.raises(ValueError, match=r"at least 64 of 256 times from each, got"):
        envs.family("FrozenLake-4x4-v0", hole_probability=0.01).split()


def test_no_task_of_one_half_is_drawn_for_the_other():
    family = envs.family("FrozenLake-4x4-v0", hole_probability=0.12)
    split = family.split()
    keys = jax.random.split(jax.random.key(1), 400)
    train, test = (
        {task.tobytes() for task in np.asarray(jax.vmap(half.sample)(keys).terminal)}
        for half in (split.train, split.test)
    )
    assert train and test and not train & test
