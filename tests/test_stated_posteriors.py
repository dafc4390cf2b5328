"""A family states its posterior, and every exact line works for it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.base import Family
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.gaussian_bandit import GaussianBandit, GaussianBanditFamily
from envs.linear_bandit import LinearBanditFamily
from icrl import algorithms
from icrl.algorithms import posteriors
from icrl.algorithms.posteriors.arms import STATED


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormalFamily(Family):
    """Gaussian bandits whose means are N(1, 4), of a class that icrl does not have."""

    noise_std: float = 0.5

    @property
    def num_actions(self):
        return 3

    def sample(self, key):
        means = 1 + 2 * jax.random.normal(key, (3,))
        return GaussianBandit(
            means=means, noise_std=jnp.asarray(self.noise_std), horizon=self.horizon
        )


FAMILY = NormalFamily(name="Normal-v0", horizon=5)
EXACT_LINES = ("exact_posterior_sampling", "posterior_mean", "bayes_ucb")


@pytest.fixture
def stated(monkeypatch):
    monkeypatch.setattr(posteriors.arms, "STATED", dict(STATED))

    @posteriors.exact_for(NormalFamily)
    def posterior(family):
        return posteriors.gaussian(family, prior_mean=1.0, prior_variance=4.0)


@pytest.mark.parametrize("name", EXACT_LINES)
def test_every_exact_line_plays_a_family_that_states_its_posterior(name, stated):
    learner = algorithms.make(name, FAMILY)
    state, obs = learner.init(), jnp.asarray(0)
    _, action = learner.act(jax.random.key(0), state, obs)
    assert 0 <= action < 3
    # after one pull of arm 0 that paid 2: mean (1/4 + 4 * 2) / (1/4 + 4)
    seen = posteriors.arm_statistics.count_pull(state, jnp.asarray(0), jnp.asarray(2.0))
    mean = posteriors.exact(FAMILY).mean(seen)
    assert np.allclose(mean, [8.25 / 4.25, 1.0, 1.0])


@pytest.mark.parametrize("name", EXACT_LINES)
def test_a_family_that_states_none_is_refused(name):
    with pytest.raises(ValueError, match=r"must be stated.*got none for NormalFamily"):
        algorithms.make(name, FAMILY)


def test_thompson_sampling_says_what_a_family_of_ones_own_needs():
    with pytest.raises(ValueError, match=r"needs a posterior=.*got NormalFamily"):
        algorithms.make("thompson_sampling", FAMILY)


def other_prior(kind):
    """A subclass that draws in another way."""
    return type("Other", (kind,), {"sample": lambda self, key: None})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (GaussianBanditFamily, EXACT_LINES),
        (BernoulliBanditFamily, (*EXACT_LINES, "gittins", "bayes_optimal")),
        (LinearBanditFamily, ("exact_posterior_sampling",)),
    ],
)
def test_a_subclass_with_another_prior_is_not_taken_as_exact(kind, names):
    family = other_prior(kind)(name="Other-v0", horizon=5)
    for name in names:
        with pytest.raises(ValueError, match=r"got .*Other"):
            algorithms.make(name, family)
    same = type("Same", (kind,), {})(name="Same-v0", horizon=5)
    for name in names:
        algorithms.make(name, same)
