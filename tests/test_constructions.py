"""Constructed transformers play what they are made from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.linear_bandit import LinearBanditFamily
from envs.random_mdp import RandomMDPFamily
from icrl import algorithms
from icrl.agents.in_context import in_context
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.theory import bernoulli_thompson, linear_thompson, linucb, ridge, ucb_vi
from icrl.theory.compiler import (
    build,
    embedded,
    highest_other_score,
    require_limits,
)
from icrl.tokenizers.encoding import decisions, encode
from icrl.tokenizers.interleaved import interleaved
from icrl.tokenizers.interleaved_ended import interleaved_ended
from icrl.tokenizers.interleaved_features import interleaved_features

BANDIT = LinearBanditFamily(
    name="LinearBandit-Theory-v0",
    source="this file",
    horizon=30,
    dim=2,
    num_arms=4,
    noise_std=0.5,
    theta_prior="uniform",
    arms="per_task",
)
MDP = RandomMDPFamily(
    states=3,
    actions=3,
    horizon=3,
    reward_prior="uniform",
    reward_location=0.0,
    noise_std=0.0,
)
EPISODES = 15


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_features_out_of_range_are_refused():
    construction = linucb.linucb(BANDIT, depth=5)
    tokens = np.zeros((7, 11))
    require_limits(construction, tokens)
    tokens[3, 2] = 1.25
    with pytest.raises(ValueError, match=r"feature 2 .* \[-1.0, 1.0\], got 1.25"):
        require_limits(construction, tokens)


def played(model, agent_of_model, algorithm, tokenizer, family, number, episodes=1):
    """Trajectories of both by the same tasks, noise and draws; the second's tokens."""

    def play(key, agent):
        key_task, *keys = jax.random.split(key, 3)
        task = family.sample(key_task)
        return rollout(*keys, task, agent, num_episodes=episodes)

    keys = jax.random.split(jax.random.key(0), number)

    @jax.jit
    def both(model):
        mine = jax.vmap(lambda key: play(key, agent_of_model(model)))(keys)
        again = jax.random.clone(keys)
        return mine, jax.vmap(lambda key: play(key, algorithm))(again)

    mine, theirs = both(model)
    tokens = jax.jit(jax.vmap(functools.partial(encode, tokenizer)))(theirs)
    return mine, theirs, tokens


def distances(model, tokenizer, algorithm, theirs, tokens, episodes=1):
    """Log-probabilities [tasks, decisions, actions] of the model and the algorithm."""

    @jax.jit
    def of_both(model, trajectory, tokens):
        logits = decisions(tokenizer, model(tokens))
        exact = predictions(algorithm, trajectory, num_episodes=episodes)
        return jax.nn.log_softmax(logits)[:-1], jnp.log(exact)[:-1]

    return jax.vmap(of_both, (None, 0, 0))(model, theirs, tokens)


DEPTHS = {"newton_schulz": 23, "accelerated": 90, "chebyshev": 50}


@pytest.mark.parametrize("scheme", DEPTHS)
def test_linucb_is_played_by_its_transformer(scheme):
    algorithm = algorithms.linucb(BANDIT, width=2.0, first="index", temperature=0.05)
    tokenizer = interleaved_features(BANDIT)
    construction = linucb.linucb(BANDIT, scheme=scheme, depth=DEPTHS[scheme])
    assert construction.depth == DEPTHS[scheme]
    model = build(construction)
    mine, theirs, tokens = played(
        model, lambda m: in_context(m, tokenizer), algorithm, tokenizer, BANDIT, 4
    )
    np.testing.assert_array_equal(mine.action, theirs.action)
    ours, exact = distances(model, tokenizer, algorithm, theirs, tokens)
    assert abs(np.exp(ours) - np.exp(exact)).sum(-1).max() / 2 < 1e-3
    assert np.ptp(np.exp(exact), axis=-1).max() > 0.2
    require_limits(construction, np.asarray(tokens))
    worst = jax.jit(jax.vmap(highest_other_score, (None, 0)))(model, tokens)
    assert worst.max() <= 0


@pytest.mark.parametrize(("scheme", "factor"), [("accelerated", 1), ("chebyshev", 2)])
def test_digits_grow_with_depth_as_the_condition_number_says(scheme, factor):
    construction = linucb.linucb(BANDIT, scheme=scheme, depth=80)
    model, tokenizer = build(construction), interleaved_features(BANDIT)
    algorithm = algorithms.uniform(BANDIT)
    key_task, *keys = jax.random.split(jax.random.key(1), 3)
    trajectory = rollout(*keys, BANDIT.sample(key_task), algorithm)
    tokens = encode(tokenizer, trajectory)[:-2]  # the decision at T
    features = BANDIT.features(trajectory.obs[0])[trajectory.action[:-1]]
    gram = features.T @ features + np.eye(2)
    moment = features.T @ trajectory.timestep.reward[:-1]
    exact = np.linalg.solve(gram, moment)
    name = "solution" if scheme == "accelerated" else "point"
    stack = model.blocks[0]

    @jax.jit
    def errors(model, tokens):
        def step(x, block):
            x, _ = (stack.blocks if block is None else block)(x)
            found = construction.stream.read(name, x[-1])[0]
            return x, jnp.linalg.norm(found - exact)

        blocks = stack.blocks if stack.stacked else None
        return jax.lax.scan(step, embedded(model, tokens), blocks, stack.depth)[1]

    error = np.log(errors(model, tokens))
    least, most = ridge.curvatures(1.0, 2.0, BANDIT.horizon, tight=True)
    depth = np.arange(len(error))
    inside = (error < -2) & (error > -25)
    slope = np.polyfit(depth[inside], error[inside], 1)[0]
    assert slope < -factor / np.sqrt(most / least) * 0.85


def test_thompson_sampling_is_played_by_a_transformer_that_reads_its_draw():
    algorithm = algorithms.linear_thompson(BANDIT, root="symmetric", prior_variance=1.0)
    tokenizer = interleaved_features(BANDIT)
    construction = linear_thompson.linear_thompson(BANDIT)
    model = build(construction)
    mine, theirs, _ = played(
        model,
        lambda m: in_context(m, tokenizer, greedy=True, noise=2),
        algorithm,
        tokenizer,
        BANDIT,
        8,
    )
    np.testing.assert_array_equal(mine.action, theirs.action)
    np.testing.assert_array_equal(mine.gap, theirs.gap)
    assert len(np.unique(theirs.action[0])) > 1


def test_ucb_vi_is_played_by_its_transformer():
    algorithm = algorithms.ucb_vi(
        MDP,
        bonus="lin2023",
        scale=0.025,
        delta=1 / (3 * EPISODES),
        num_episodes=EPISODES,
        monotone=False,
        counts_per_step=True,
        temperature=1 / EPISODES,
    )
    tokenizer = interleaved_ended(MDP)
    construction = ucb_vi.ucb_vi(MDP, num_episodes=EPISODES)
    model = build(construction)
    mine, theirs, tokens = played(
        model,
        lambda m: in_context(m, tokenizer),
        algorithm,
        tokenizer,
        MDP,
        4,
        episodes=EPISODES,
    )
    np.testing.assert_array_equal(mine.action, theirs.action)
    ours, exact = distances(model, tokenizer, algorithm, theirs, tokens, EPISODES)
    np.testing.assert_allclose(ours, exact, atol=1e-8)
    assert np.ptp(np.exp(exact), axis=-1).max() > 0.2
    require_limits(construction, np.asarray(tokens))
    worst = jax.jit(jax.vmap(highest_other_score, (None, 0)))(model, tokens)
    assert worst.max() <= 0


def test_bernoulli_thompson_sampling_is_played_without_a_draw():
    family = BernoulliBanditFamily(num_arms=3, horizon=12)
    algorithm, tokenizer = algorithms.thompson_sampling(family), interleaved(family)
    construction = bernoulli_thompson.bernoulli_thompson(family, num_nodes=16)
    model = build(construction)
    *_, theirs, tokens = played(
        model, lambda m: in_context(m, tokenizer), algorithm, tokenizer, family, 4
    )
    ours, exact = distances(model, tokenizer, algorithm, theirs, tokens)
    tv = abs(np.exp(ours) - np.exp(exact)).sum(-1) / 2
    assert tv.max() < 2e-3
    assert np.ptp(np.exp(exact), axis=-1).max() > 0.5
    require_limits(construction, np.asarray(tokens))


def test_linear_thompson_sampling_is_played_by_nodes():
    algorithm = algorithms.linear_thompson(BANDIT, prior_variance=1.0)
    tokenizer = interleaved_features(BANDIT)
    model = build(linear_thompson.linear_thompson(BANDIT, num_nodes=64))
    *_, theirs, tokens = played(
        model, lambda m: in_context(m, tokenizer), algorithm, tokenizer, BANDIT, 4
    )
    ours, exact = distances(model, tokenizer, algorithm, theirs, tokens)
    tv = abs(np.exp(ours) - np.exp(exact)).sum(-1) / 2
    assert tv.mean() < 0.03 and tv.max() < 0.1


def test_the_integral_of_legendre_is_that_of_a_polynomial():
    nodes, weights, integral = bernoulli_thompson.legendre(8)
    np.testing.assert_allclose(weights @ nodes**5, 1 / 6, atol=1e-14)
    np.testing.assert_allclose(integral @ nodes**5, nodes**6 / 6, atol=1e-14)
