"""RL²'s baselines on bandits, by the rules of its authors' code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from icrl import algorithms
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics
from icrl.rollout import rollout

FAMILY = envs.family("BernoulliBandit-DPT-v0", num_arms=5, horizon=10)
STATE = ArmStatistics(
    pulls=jnp.array([0.0, 1.0, 4.0, 30.0, 9.0]),
    total=jnp.array([0.0, 1.0, 2.0, 21.0, 0.0]),
)
WINS, PULLS = np.asarray(STATE.total), np.asarray(STATE.pulls)


def returns(algorithm, num_tasks=4000):
    def one(key):
        key_task, *keys = jax.random.split(key, 3)
        return rollout(*keys, FAMILY.sample(key_task), algorithm).timestep.reward.sum()

    keys = jax.random.split(jax.random.key(11), num_tasks)
    return np.asarray(jax.jit(jax.vmap(one))(keys))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("thompson_sampling", {}, 5.81),
        ("ucb", {"form": "rl2", "width": 0.1}, 6.66),
        ("ucb", {"form": "rl2", "width": 1.0}, 5.82),
        ("epsilon_greedy", {"shrunken": True, "epsilon": 0.0}, 6.56),
        ("whittle", {}, 6.54),
    ],
)
def test_baselines_earn_what_a_re_simulation_of_the_authors_code_does(
    name, options, expected
):
    """Of 4,000 instances, as here: 10 pulls, 5 arms."""
    found = returns(algorithms.make(name, FAMILY, **options))
    error = found.std() / len(found) ** 0.5
    assert abs(found.mean() - expected) < 3 * np.sqrt(2) * error + 0.005


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"rule": "likeliest", "num_draws": 20}, 6.46), ({}, 5.95)],
    ids=["the authors'", "May et al.'s"],
)
def test_the_two_optimistic_samplers_earn_what_theirs_do(options, expected):
    """The authors' with the best of 1 to 20 draws, which is within noise 20."""
    sampler = algorithms.optimistic_thompson_sampling(FAMILY, **options)
    found = returns(sampler, num_tasks=1000)
    error = found.std() / len(found) ** 0.5
    assert abs(found.mean() - expected) < 3 * np.sqrt(error**2 + 0.04**2)


def act(algorithm, state, seed=0):
    return int(algorithm.act(jax.random.key(seed), state, None)[1])


def test_the_authors_ucb_counts_a_win_and_a_loss_and_begins_with_arm_0():
    algorithm = algorithms.ucb(FAMILY, form="rl2", width=0.3)
    total = PULLS.sum()
    bound = (1 + WINS) / (2 + PULLS) + 0.3 * np.sqrt(2 * np.log(total) / (2 + PULLS))
    assert act(algorithm, STATE) == bound.argmax()
    assert act(algorithm, algorithm.init()) == 0


def test_the_likeliest_of_many_draws_is_near_the_mode():
    state = ArmStatistics(jnp.full(5, 400.0), jnp.array([200.0, 230, 180, 240, 100]))
    algorithm = algorithms.optimistic_thompson_sampling(
        FAMILY, rule="likeliest", num_draws=200
    )
    played = [act(algorithm, state, seed) for seed in range(40)]
    once = [
        act(algorithms.thompson_sampling(FAMILY), state, seed) for seed in range(40)
    ]
    assert played.count(3) > once.count(3) + 4


def test_whittles_index_is_near_gittins_for_a_long_horizon():
    """Gittins' index of an arm never pulled, discount 0.99 (Gittins 1989): 0.8699."""
    charge = -np.log(0.99)
    formula = 0.5 + 0.25 / (2 * np.sqrt((2 * charge + 0.5) * 0.25))
    assert abs(formula - 0.8699) < 0.03
    algorithm = algorithms.whittle(FAMILY)
    n, p = 2 + PULLS, (1 + WINS) / (2 + PULLS)
    spread = p * (1 - p)
    root = np.sqrt((2 * charge + 1 / n) * spread)
    assert act(algorithm, STATE) == (p + spread / (n * root + p - 0.5)).argmax()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("whittle", {"discount": 1.0}, r"discount must lie in \(0, 1\), got 1.0"),
        ("optimistic_thompson_sampling", {"rule": "x"}, "rule must be one of"),
        (
            "optimistic_thompson_sampling",
            {"num_draws": 5},
            "is of the rule 'likeliest'",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        algorithms.make(name, FAMILY, **options)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_optimistic_probabilities_are_how_often_arms_are_played(scale):
    state = ArmStatistics(scale * STATE.pulls, scale * STATE.total)
    algorithm = algorithms.optimistic_thompson_sampling(FAMILY)
    keys = jax.random.split(jax.random.key(2), 20_000)
    played = jax.jit(jax.vmap(lambda key: algorithm.act(key, state, None)[1]))(keys)
    shares = np.bincount(np.asarray(played), minlength=5) / len(keys)
    found = jax.jit(algorithm.action_probabilities)(state, None)
    np.testing.assert_allclose(found, shares, atol=5 * 0.5 / len(keys) ** 0.5)
