"""An agent's own actions tell which algorithm it is, and with which parameter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.splits import split_prior
from icrl import algorithms
from icrl.agents import Agent, fixed
from icrl.algorithms import posteriors
from icrl.diagnostics import recognition
from icrl.diagnostics.likelihood import fit_lapse, interval, likeliest, middle_of_best
from icrl.diagnostics.recognition import Candidate, candidates, recognise

BERNOULLI = envs.family("BernoulliBandit-Lin2023-v0", horizon=40)
GAUSSIAN = envs.family("GaussianBandit-DPT-v0", horizon=40)
LINEAR = envs.family("LinearBandit-Lin2023-v0", horizon=40)


@pytest.fixture(autouse=True, scope="module")
def judged_fast():
    """Probabilities of many actions take long: a better compilation pays."""
    plain = recognition._of_actions.__wrapped__
    options = {"xla_backend_optimization_level": 1}
    fast = jax.jit(plain, static_argnames="make", compiler_options=options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognition, "_of_actions", fast)
        yield


@functools.cache
def known(family):
    """Made once for all tests: every candidate is compiled for itself."""
    return candidates(family)


def recognised(family, agent, *only, num_tasks=20):
    chosen = [c for c in known(family) if not only or c.name in only]
    tasks = split_prior(family).test
    agent = agent if isinstance(agent, Agent) else fixed(agent)
    return recognise(
        jax.random.key(3), tasks, agent, tuple(chosen), num_tasks=num_tasks
    )


def thompson(family, belief, noise_std):
    posterior = belief(family, noise_std=noise_std)
    return algorithms.thompson_sampling(family, posterior=posterior)


ALGORITHMS = [
    (LINEAR, "linucb", 2.0, algorithms.linucb(LINEAR, width=2.0)),
    (LINEAR, "linucb", 0.7, algorithms.linucb(LINEAR, width=0.7)),
    (LINEAR, "linear_thompson", 1.5, algorithms.linear_thompson(LINEAR)),
    (LINEAR, "ridge_greedy", None, algorithms.ridge_greedy(LINEAR)),
    (
        GAUSSIAN,
        "thompson_sampling_gaussian",
        0.3,
        thompson(GAUSSIAN, posteriors.gaussian, 0.3),
    ),
    (
        GAUSSIAN,
        "thompson_sampling_gaussian",
        0.5,
        thompson(GAUSSIAN, posteriors.gaussian, 0.5),
    ),
    (
        GAUSSIAN,
        "thompson_sampling_uniform_prior",
        0.3,
        thompson(GAUSSIAN, posteriors.uniform_prior, 0.3),
    ),
    (GAUSSIAN, "ucb_inverse_sqrt", 0.6, algorithms.ucb(GAUSSIAN, width=0.6)),
    (GAUSSIAN, "empirical_mean", None, algorithms.empirical_mean(GAUSSIAN)),
    (GAUSSIAN, "posterior_mean", None, algorithms.posterior_mean(GAUSSIAN)),
    (BERNOULLI, "ucb_shrunken", 1.0, algorithms.ucb(BERNOULLI, form="shrunken")),
    (BERNOULLI, "thompson_sampling", None, algorithms.thompson_sampling(BERNOULLI)),
]


@pytest.mark.parametrize(("family", "name", "parameter", "algorithm"), ALGORITHMS)
def test_an_algorithm_is_recognised_with_its_parameter(
    family, name, parameter, algorithm
):
    best, *others = recognised(family, algorithm)
    assert best.name == name
    assert best.score > max(other.score for other in others)
    assert best.lapse < (0.06 if "thompson" in name else 0.02)
    if parameter is None:
        assert best.parameter is best.low is best.high is None
        return
    error = 0.1 if "thompson" in name else 0.05
    assert best.parameter == pytest.approx(parameter, rel=error)
    assert best.low < best.parameter < best.high
    assert best.low * 0.95 < parameter < best.high * 1.05
    if "thompson" not in name:
        assert best.match > 0.97


def with_lapses(algorithm, family, lapse):
    """Plays an algorithm, but for a share of actions that are drawn uniformly."""

    def act(key, state, obs):
        key_whether, key_which, key_act = jax.random.split(key, 3)
        state, action = algorithm.act(key_act, state, obs)
        anything = jax.random.randint(key_which, (), 0, family.num_actions)
        lapses = jax.random.uniform(key_whether) < lapse
        return state, jnp.where(lapses, anything, action)

    return algorithm._replace(act=act, action_probabilities=None)


def test_lapses_are_counted_and_do_not_hide_the_algorithm():
    linucb = with_lapses(algorithms.linucb(LINEAR, width=1.0), LINEAR, 0.1)
    names = "uniform", "ridge_greedy", "linucb"
    best = recognised(LINEAR, linucb, *names, num_tasks=40)[0]
    assert best.name == "linucb"
    assert best.lapse == pytest.approx(0.1, abs=0.02)
    assert best.parameter == pytest.approx(1.0, rel=0.05)
    assert best.match == pytest.approx(1 - 0.1 * 0.9 - 0.9 / 40, abs=0.02)


def test_every_training_seed_has_a_parameter_of_its_own():
    widths = jnp.array([0.85, 1.0, 1.15])
    agent = Agent(lambda model, task: algorithms.ucb(GAUSSIAN, width=model), widths)
    (fit,) = recognised(GAUSSIAN, agent, "ucb_inverse_sqrt", num_tasks=20)
    np.testing.assert_allclose(fit.by_seed, widths, rtol=0.05)
    assert fit.low < 0.95 and fit.high > 1.05  # seeds are resampled too
    assert fit.low <= fit.parameter <= fit.high


def test_chance_is_recognised_for_it_needs_no_parameter_and_no_lapse():
    best, *others = recognised(GAUSSIAN, algorithms.uniform(GAUSSIAN))
    assert best.name == "uniform"
    assert best.log_likelihood == best.score == pytest.approx(-np.log(5))
    assert best.match == pytest.approx(1 / 5)
    assert best.lapse == 0 and best.by_seed == (None,)
    assert all(other.lapse > 0.8 for other in others)


def test_a_candidate_of_ones_own_is_tried_with_the_others():
    def make(arm):
        probabilities = jax.nn.one_hot(jnp.asarray(arm, jnp.int32), 5)
        return algorithms.uniform(GAUSSIAN)._replace(
            act=lambda key, state, obs: (state, jnp.asarray(arm, jnp.int32)),
            action_probabilities=lambda state, obs: probabilities,
        )

    always = Candidate("always_3", lambda: make(3))
    chance = Candidate("uniform", lambda: algorithms.uniform(GAUSSIAN))
    tasks = split_prior(GAUSSIAN).test
    fits = recognise(
        jax.random.key(1), tasks, fixed(make(3)), (chance, always), num_tasks=3
    )
    assert [fit.name for fit in fits] == ["always_3", "uniform"]
    assert fits[0].lapse == 0 and fits[0].match == 1
    assert fits[0].log_likelihood == pytest.approx(0, abs=1e-5)


def test_only_bandits_are_recognised_from_some_of_their_steps():
    agent, tasks = fixed(algorithms.uniform(GAUSSIAN)), split_prior(GAUSSIAN).test
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        recognise(jax.random.key(0), tasks, agent, (), num_tasks=3, num_steps=0)
    with pytest.raises(ValueError, match="recognition needs a BernoulliBanditFamily"):
        candidates(envs.Family(horizon=3))


def test_the_lapse_is_the_share_of_impossible_actions():
    # 30 of 200 actions were impossible, and one lapse in four repeats the right action
    taken = np.ones((10, 20))
    taken.reshape(-1)[:30] = 0
    lapse, log_likelihood = fit_lapse(taken, chance=0.25)
    assert lapse == pytest.approx(0.15 / 0.75, abs=1e-5)
    expected = 30 * np.log(0.05) + 170 * np.log(0.85)
    assert log_likelihood.sum() == pytest.approx(expected, rel=1e-6)
    assert fit_lapse(np.ones((2, 3)), chance=0.25)[0] == 0
    assert fit_lapse(np.zeros((2, 3)), chance=0.25)[0] == pytest.approx(1, abs=1e-5)


def test_the_likeliest_value_is_read_between_the_values_tried():
    values = np.array([0.5, 1.0, 1.5, 4.0])
    scores = -((np.log(values) - np.log([[1.2], [1.7], [9.0], [0.1]])) ** 2)
    np.testing.assert_allclose(likeliest(values, scores), [1.2, 1.7, 4.0, 0.5])
    assert middle_of_best(np.array([0.0, 3.0, 3.0, 3.0, 1.0])) == 2


def test_the_interval_is_that_of_a_mean_where_the_likelihood_is_normal():
    random = np.random.default_rng(0)
    x = random.normal(size=(1, 400))  # one observation a task of log(value)
    values = np.exp(np.linspace(-0.5, 0.5, 41))
    table = -((np.log(values)[:, None, None] - x[None]) ** 2) / 2
    best = middle_of_best(table.sum((1, 2)))
    low, high = np.log(interval(values, table, best))
    half = 1.96 * x.std() / 20
    np.testing.assert_allclose(
        [low, high], [x.mean() - half, x.mean() + half], atol=0.02
    )
