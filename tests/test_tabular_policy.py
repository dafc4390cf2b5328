"""What tabular policies rest on: exact draws, ties, ε-greedy play, Q-learning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from edges import NOT_NEGATIVE, PROBABILITY, hold
from tabular_trajectories import (
    EPISODES,
    FAMILY,
    A,
    H,
    S,
    learnt,
    random_trajectories,
    steps_of,
    trajectories,
)

import envs
from envs.random_mdp import RandomMDPFamily
from envs.tabular_mdp import make_task
from experiments.rl2_mdp_baselines import make_agents
from icrl.algorithms import make
from icrl.algorithms.mdp.posterior_mean_greedy import mle_greedy
from icrl.algorithms.mdp.psrl import psrl
from icrl.algorithms.mdp.q_learning import q_learning, ucb_q_learning
from icrl.algorithms.mdp.tabular_policy import Planned, settle_ties, table_policy
from icrl.algorithms.posteriors.dirichlet import dirichlet, log_gamma
from icrl.algorithms.posteriors.mdp_statistics import no_steps
from icrl.evaluation.returns import expected_totals
from icrl.keys import evaluation_key
from icrl.rollout import rollout

DRAWS = 20_000


@pytest.mark.parametrize("shape", [0.01, 0.4, 1.0, 2.0, 17.5, 900.0])
def test_gamma_variables_have_their_distribution(shape):
    # a million, since a wrong rejection moves the distribution by a thousandth
    shapes = jnp.full((10, 100_000), shape, jnp.float32)
    logs = np.sort(np.asarray(log_gamma(jax.random.key(0), shapes), np.float64).ravel())
    cdf = scipy.stats.loggamma(shape).cdf(logs)  # of the logarithm
    empirical = np.arange(1, cdf.size + 1) / cdf.size
    assert abs(cdf - empirical).max() < 2.0 / cdf.size**0.5  # 2 exp(-8): 1 in 1500


def test_dirichlet_rows_have_their_distribution_whatever_stands_beside_them():
    concentration = np.array([[1.0, 1, 1, 1], [3, 1, 41, 6], [0.1, 0.1, 0.1, 2]])
    keys = jax.random.split(jax.random.key(1), DRAWS)
    draw = jax.jit(jax.vmap(dirichlet, (0, None)))
    rows = np.asarray(draw(keys, jnp.asarray(concentration, jnp.float32)), np.float64)
    np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)
    for place, alpha in enumerate(concentration):
        exact = scipy.stats.dirichlet(alpha)
        np.testing.assert_allclose(rows[:, place].mean(0), exact.mean(), atol=0.012)
        covariance = np.cov(rows[:, place].T)
        np.testing.assert_allclose(covariance, exact.cov(), atol=0.003)
        for state, a in enumerate(alpha):
            marginal = scipy.stats.beta(a, alpha.sum() - a)
            p = scipy.stats.kstest(rows[:, place, state], marginal.cdf).pvalue
            assert p > 1e-3
    across = np.corrcoef(rows[:, 0, 0], rows[:, 1, 0])[0, 1]
    assert abs(across) < 5 / DRAWS**0.5


def test_values_that_rounding_alone_separates_are_tied():
    values = jnp.asarray([3.0, 3.000005, 2.9, 3.000005])
    assert int(jnp.argmax(settle_ties(values))) == 0
    assert int(jnp.argmax(settle_ties(jnp.asarray([3.0, 3.001, 2.9])))) == 1
    assert (settle_ties(values)[2] == values[2]).all()


def of_rows(rows, **options):
    """A policy that reads the same values at every step."""
    return table_policy(
        FAMILY,
        init=tuple,
        row=lambda state, obs: jnp.asarray(rows)[obs],
        update=lambda state, *_: state,
        **options,
    )


def frequencies(algorithm, state, obs, num_draws=6000):
    keys = jax.random.split(jax.random.key(2), num_draws)
    _, drawn = jax.vmap(algorithm.act, (0, None, None))(keys, state, jnp.asarray(obs))
    return np.bincount(drawn, minlength=A) / num_draws


ROWS = np.array([[1.0, 2.0, 2.0]] + [[0.5, 0.0, -1.0]] * (S - 1), np.float32)


@pytest.mark.parametrize(
    ("options", "obs", "expected"),
    [
        ({}, 0, [0, 1, 0]),
        ({"random_ties": True}, 0, [0, 0.5, 0.5]),
        ({"epsilon": 0.3}, 0, [0.1, 0.8, 0.1]),
        ({"epsilon": 0.3, "random_ties": True}, 0, [0.1, 0.45, 0.45]),
        ({"epsilon": 1.0}, 1, [1 / 3, 1 / 3, 1 / 3]),
        ({"temperature": 0.5}, 1, np.exp([1, 0, -2]) / np.exp([1, 0, -2]).sum()),
    ],
)
def test_a_table_is_played_with_the_probabilities_that_its_options_say(
    options, obs, expected
):
    algorithm = of_rows(ROWS, **options)
    probabilities = algorithm.action_probabilities((), jnp.asarray(obs))
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    drawn = frequencies(algorithm, (), obs)
    error = 4.5 * np.sqrt(np.multiply(probabilities, 1 - probabilities) / 6000) + 1e-9
    assert (abs(drawn - probabilities) <= error).all()


def test_the_greedy_probabilities_follow_the_plan_at_its_step():
    algorithm = mle_greedy(FAMILY, epsilon=0.3)
    random = np.random.default_rng(0)
    table = random.normal(size=(H, S, A))
    for step in (0, 3, H):  # after the last step, as at it
        statistics = no_steps(FAMILY)._replace(step=jnp.asarray(step))
        state = Planned(statistics=statistics, table=jnp.asarray(table, jnp.float32))
        probabilities = algorithm.action_probabilities(state, jnp.asarray(2))
        best = np.argmax(table[min(step, H - 1), 2])
        np.testing.assert_allclose(
            probabilities, 0.1 + 0.7 * np.eye(A)[best], atol=1e-6
        )


def test_epsilon_and_temperature_are_refused_from_their_edges_on():
    hold(PROBABILITY, "epsilon", lambda value: of_rows(ROWS, epsilon=value))
    hold(NOT_NEGATIVE, "temperature", lambda value: of_rows(ROWS, temperature=value))


def test_only_one_of_epsilon_and_temperature_is_given():
    with pytest.raises(ValueError, match=r"must be 0, got 0\.1 and 0\.5"):
        of_rows(ROWS, epsilon=0.1, temperature=0.5)


def q_by_loop(trajectory, task, *, start, rate, bonus, cap, discount):
    """The table of Q-learning after a trajectory, one step after another."""
    q = np.full((H if discount is None else 1, S, A), start, np.float64)
    visits, alive = np.zeros_like(q), True
    for step, s, a, reward, s2, end in steps_of(trajectory, task):
        h = step if discount is None else 0
        alive = alive or step == 0
        if not alive:
            continue
        value = 0.0
        if discount is not None and not end:
            value = discount * q[0, s2].max()
        if discount is None and not end and h + 1 < H:
            value = min(cap, q[h + 1, s2].max())
        visits[h, s, a] += 1
        n = visits[h, s, a]
        move = rate(n) * (reward + value + bonus(n) - q[h, s, a])
        q[h, s, a] += move
        alive = not end
    return q


LEVEL = np.log(S * A * H * EPISODES / 0.05)
Q_LEARNERS = {
    "ucb_h": (
        ucb_q_learning(FAMILY, scale=0.01, num_episodes=EPISODES, max_reward=1.5),
        {
            "start": 1.5 * H,
            "cap": 1.5 * H,
            "rate": lambda n: (H + 1) / (H + n),
            "bonus": lambda n: 0.01 * 1.5 * np.sqrt(H**3 * LEVEL / n),
            "discount": None,
        },
    ),
    "epsilon_greedy": (
        q_learning(FAMILY, learning_rate=0.3, epsilon=0.2, start=0.4),
        {"start": 0.4, "rate": lambda n: 0.3, "discount": None},
    ),
    "discounted": (
        q_learning(FAMILY, learning_rate=0.3, epsilon=0.2, discount=0.9),
        {"start": 0.0, "rate": lambda n: 0.3, "discount": 0.9},
    ),
}


@pytest.mark.parametrize("name", Q_LEARNERS)
def test_q_learning_is_its_loop(name):
    algorithm, rule = Q_LEARNERS[name]
    trajectory = random_trajectories(ending=True)
    defaults = {"bonus": lambda n: 0.0, "cap": np.inf}
    for task in range(2):
        table = q_by_loop(trajectory, task, **{**defaults, **rule})
        ours = learnt(algorithm, trajectory, task).table
        np.testing.assert_allclose(ours, table, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "algorithm",
    [
        ucb_q_learning(FAMILY, scale=0.003, num_episodes=150),
        q_learning(FAMILY, learning_rate=0.2, start=2.0),
    ],
)
def test_q_learning_learns(algorithm):
    gap = trajectories(algorithm, num_tasks=64, num_episodes=150).gap
    assert gap[:, -30 * H :].mean() < 0.6 * random_trajectories().gap.mean()


@pytest.mark.usefixtures("optimised")
def test_exact_returns_are_what_rewards_are_on_average():
    family = envs.family("RandomMDP-RL2-v0")
    task, learner = family.sample(jax.random.key(0)), psrl(family)

    def trajectory(key):
        key_noise, key_agent = jax.random.split(key)
        played = rollout(key_noise, key_agent, task, learner, num_episodes=4)
        exact = 4 * task.optimal_return - played.gap.sum()
        return played.timestep.reward.sum(), exact

    keys = jax.random.split(jax.random.key(1), 4000)
    sampled, exact = map(np.asarray, jax.jit(jax.vmap(trajectory))(keys))
    difference = sampled - exact
    assert abs(difference.mean()) < 4 * difference.std() / 4000**0.5
    assert exact.std() < 0.8 * sampled.std()


def test_psrl_earns_what_other_programs_of_the_same_name_earn():
    family = envs.family("RandomMDP-RL2-v0")
    agents = {"psrl_mu0": make_agents(family, 8)["psrl_mu0"]}
    totals = expected_totals(
        evaluation_key(0), family.split().test, agents, num_tasks=250, num_episodes=10
    )
    returns = totals["psrl_mu0"][0, :, -1]
    error = np.hypot(returns.std() / 250**0.5, 0.6)
    assert abs(returns.mean() - 138.4) < 3 * error


def test_a_gap_far_below_the_value_of_an_episode_is_no_tie():
    """One state, two actions 1e-3 apart, 200 steps: their values are about 100."""
    values = jnp.asarray([100.0, 100.001, 99.999])
    assert int(jnp.argmax(settle_ties(values))) == 1
    rounding = jnp.asarray([100.0, 100.00001, 99.0])
    assert int(jnp.argmax(settle_ties(rounding))) == 0
    task = make_task(
        transitions=jnp.ones((1, 2, 1)),
        rewards=jnp.asarray([[0.5, 0.501]]),
        noise_std=0.0,
        horizon=200,
    )
    family = RandomMDPFamily(states=1, actions=2, horizon=200)
    agent = make("ucb_vi", family, scale=0.0, last_transition=True)

    def regret(key):
        key_task, key_agent = jax.random.split(key)
        return rollout(key_task, key_agent, task, agent, num_episodes=4).gap

    gap = np.asarray(jax.jit(regret)(jax.random.key(0)))
    assert gap[400:].sum() == 0  # once both actions are known
