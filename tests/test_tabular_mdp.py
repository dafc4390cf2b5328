"""Tabular MDPs and their exact plans, against enumeration and counting."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import tabular_mdp
from envs.tabular_mdp import MDPState, make_task


def random_tables(seed, states, actions):
    """Tables of a random MDP in float64, for `make_task` and for NumPy."""
    random = np.random.default_rng(seed)
    return {
        "transitions": random.dirichlet(np.ones(states), (states, actions)),
        "rewards": random.normal(size=(states, actions)),
        "arrival_rewards": random.normal(size=states),
        "initial": random.dirichlet(np.ones(states)),
    }


def task_of(tables, horizon, **options):
    arrays = {name: jnp.asarray(table, jnp.float32) for name, table in tables.items()}
    return make_task(**arrays, horizon=horizon, **options)


def occupancies(tables, policy, start):
    """Probability of each state, step by step, of a policy [time, states, actions]."""
    for choice in policy:
        yield start
        start = np.einsum("s,sa,sat->t", start, choice, tables["transitions"])


def value_forward(tables, policy, start):
    """Its expected rewards: no recursion over values, unlike what is tested."""
    paid = tables["transitions"] @ tables["arrival_rewards"]
    mean_rewards = tables["rewards"] + paid
    return sum(
        (occupancy[:, None] * choice * mean_rewards).sum()
        for occupancy, choice in zip(
            occupancies(tables, policy, start), policy, strict=True
        )
    )


def all_policies(states, actions, horizon):
    """Every deterministic Markov policy."""
    for choice in itertools.product(range(actions), repeat=horizon * states):
        yield np.eye(actions)[np.reshape(choice, (horizon, states))]


def random_policy(seed, states, actions, horizon):
    weights = np.random.default_rng(seed).exponential(size=(horizon, states, actions))
    return weights / weights.sum(-1, keepdims=True)


SEEDS = pytest.mark.parametrize("seed", range(3))


@SEEDS
def test_gaps_are_those_of_enumerating_all_policies(seed):
    tables, horizon = random_tables(seed, states=2, actions=2), 3
    q_values = np.full((horizon, 2, 2), -np.inf)
    for policy in all_policies(2, 2, horizon):
        for step, state, action in np.ndindex(q_values.shape):
            rest = policy[step:].copy()
            rest[0, state] = np.eye(2)[action]
            value = value_forward(tables, rest, np.eye(2)[state])
            q_values[step, state, action] = max(q_values[step, state, action], value)
    task = task_of(tables, horizon)
    np.testing.assert_allclose(task.q_values, q_values, atol=1e-5)
    for step, state in np.ndindex(horizon, 2):
        gaps = task.gaps(MDPState(step=jnp.asarray(step), position=jnp.asarray(state)))
        exact = q_values[step, state].max() - q_values[step, state]
        np.testing.assert_allclose(gaps, exact, atol=1e-5)


@SEEDS
def test_no_policy_beats_backward_induction_and_one_attains_it(seed):
    tables, horizon = random_tables(seed, states=2, actions=2), 3
    best = float(task_of(tables, horizon).optimal_return)
    values = [
        value_forward(tables, policy, tables["initial"])
        for policy in all_policies(2, 2, horizon)
    ]
    assert len(values) == 64
    np.testing.assert_allclose(max(values), best, atol=1e-5)
    for number in range(200):
        policy = random_policy(number, 2, 2, horizon)
        assert value_forward(tables, policy, tables["initial"]) <= best + 1e-5


@SEEDS
def test_expected_gaps_along_a_policy_add_up_to_what_it_loses(seed):
    tables, horizon = random_tables(seed, states=7, actions=3), 10
    policy = random_policy(seed, 7, 3, horizon)
    task = task_of(tables, horizon)
    gaps = task.q_values.max(-1, keepdims=True) - task.q_values
    occupancy = np.stack(list(occupancies(tables, policy, tables["initial"])))
    regret = (occupancy[..., None] * policy * np.asarray(gaps)).sum()
    lost = task.optimal_return - value_forward(tables, policy, tables["initial"])
    assert regret > 1
    np.testing.assert_allclose(regret, lost, atol=1e-4)


def test_longer_horizons_end_like_shorter_ones():
    tables = random_tables(0, states=4, actions=3)
    shorter, longer = task_of(tables, 5).q_values, task_of(tables, 9).q_values
    np.testing.assert_array_equal(longer[-5:], shorter)


# What is drawn.


def draws(task, position, action, number=20_000):
    keys = jax.random.split(jax.random.key(1), number)
    state = MDPState(step=jnp.asarray(0), position=jnp.asarray(position))
    step = jax.vmap(task.step, (0, None, None))
    return step(keys, state, jnp.asarray(action))


def test_next_and_first_states_are_as_frequent_as_the_tables_say():
    tables = random_tables(5, states=6, actions=2)
    task = task_of(tables, horizon=4)
    for state, action in np.ndindex(6, 2):
        after, _ = draws(task, state, action)
        require_frequencies(after.position, tables["transitions"][state, action])
    first, obs = jax.vmap(task.reset)(jax.random.split(jax.random.key(2), 20_000))
    require_frequencies(first.position, tables["initial"])
    np.testing.assert_array_equal(first.position, obs)


def require_frequencies(positions, probabilities):
    counts = np.bincount(positions, minlength=len(probabilities))
    deviation = np.sqrt(len(positions) * probabilities * (1 - probabilities))
    assert (abs(counts - len(positions) * probabilities) < 5 * deviation).all()


def test_rewards_have_the_stated_mean_and_deviation():
    tables = random_tables(6, states=4, actions=2)
    task = task_of(tables, horizon=4, noise_std=0.5)
    after, timestep = draws(task, position=2, action=1)
    arrived = tables["arrival_rewards"][np.asarray(after.position)]
    noise = np.asarray(timestep.reward) - tables["rewards"][2, 1] - arrived
    assert abs(noise.mean()) < 5 * 0.5 / 20_000**0.5
    assert abs(noise.std() / 0.5 - 1) < 5 / (2 * 20_000) ** 0.5
    means = tables["rewards"] + tables["transitions"] @ tables["arrival_rewards"]
    np.testing.assert_allclose(task.mean_rewards, means, atol=1e-5)


def test_a_state_of_probability_zero_is_never_drawn(monkeypatch):
    monkeypatch.setattr(jax.random, "uniform", lambda number: number)
    random = np.random.default_rng(0)
    for states in (2, 5, 30, 1000):  # sums of many are rounded in another order
        weights = random.exponential(size=states) * (random.uniform(size=states) < 0.5)
        weights[states // 2] += 0.1
        probabilities = jnp.asarray(weights / weights.sum(), jnp.float32)
        edges = np.asarray(jnp.cumsum(probabilities))
        edges = np.concatenate([[0], edges, np.nextafter(edges, 0), [1 - 2**-24]])
        numbers = jnp.asarray(edges[edges < 1], jnp.float32)
        drawn = jax.vmap(tabular_mdp.draw, (0, None))(numbers, probabilities)
        assert (probabilities[drawn] > 0).all()
        assert set(np.unique(drawn)) == set(np.flatnonzero(probabilities))


def test_a_terminal_state_absorbs_and_pays_nothing():
    tables = random_tables(7, states=3, actions=2)
    terminal = jnp.array([False, True, False])
    task = task_of(tables, horizon=4, terminal=terminal, noise_std=1.0)
    after, timestep = draws(task, position=1, action=0)
    assert (after.position == 1).all()
    assert (timestep.reward == 0).all()
    assert timestep.terminated.all()
    np.testing.assert_array_equal(task.q_values[:, 1], 0)
    after, timestep = draws(task, position=0, action=0)
    np.testing.assert_array_equal(timestep.terminated, after.position == 1)
    assert abs(timestep.reward).min() > 0  # an arrival at a terminal state pays


def test_an_episode_lasts_its_horizon_and_has_no_gaps_after():
    task = task_of(random_tables(8, states=3, actions=2), horizon=2)
    state = MDPState(step=jnp.asarray(1), position=jnp.asarray(0))
    after, timestep = task.step(jax.random.key(0), state, jnp.asarray(0))
    assert bool(timestep.truncated)
    assert int(after.step) == 2
    np.testing.assert_array_equal(task.gaps(after), [0, 0])


# What is refused.


def small_task(**changes):
    """Two states, one action; unwrapped, as our hooks would see shapes before it."""
    tables = {
        "transitions": jnp.full((2, 1, 2), 0.5),
        "rewards": jnp.zeros((2, 1)),
        "horizon": 2,
    }
    return inspect.unwrap(make_task)(**{**tables, **changes})


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.5, -0.5], [float("nan"), 0.5]])
def test_a_row_that_does_not_sum_to_one_is_named(row):
    transitions = jnp.full((2, 1, 2), 0.5).at[1, 0].set(jnp.array(row))
    with pytest.raises(ValueError, match=r"must be probabilities .* in row \[1, 0\]$"):
        small_task(transitions=transitions)
    with pytest.raises(ValueError, match="initial must be probabilities that sum to"):
        small_task(initial=jnp.array(row))


def test_shapes_that_do_not_fit_are_refused():
    for name, shape, right in (
        ("transitions", (2, 2, 2), "(2, 1, 2)"),
        ("arrival_rewards", (3,), "(2,)"),
        ("initial", (3,), "(2,)"),
        ("terminal", (1,), "(2,)"),
    ):
        with pytest.raises(ValueError) as error:
            small_task(**{name: jnp.zeros(shape)})
        assert str(error.value) == f"{name} must have shape {right}, got {shape}"


@pytest.mark.parametrize("first", [-1, 2])
def test_a_first_state_outside_is_refused(first):
    rule = rf"the first state must lie in \[0, 2\), got {first}"
    with pytest.raises(ValueError, match=rule):
        small_task(initial=first)
