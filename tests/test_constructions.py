"""Constructed transformers play what they are made from.

Over 300 lines: one way to play beside an algorithm, and all that is played.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import envs
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.linear_bandit import LinearBanditFamily
from envs.random_mdp import RandomMDPFamily
from icrl import algorithms
from icrl.agents.in_context import in_context
from icrl.config import TransformerConfig
from icrl.models import Transformer
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.theory import (
    bernoulli_thompson,
    linear_thompson,
    linucb,
    pade,
    ridge,
    ucb_vi,
)
from icrl.theory.compiler import (
    build,
    highest_other_score,
    require_limits,
)
from icrl.theory.depth import at_every_depth
from icrl.theory.stream import Form
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


def highest_score(model, tokens, noise=0):
    """Of a token that a fast head leaves out; draws stand where a decision is taken."""
    drawn = jax.random.normal(jax.random.key(2), (*tokens.shape[:2], noise))
    tokens = jnp.concatenate([tokens, drawn.at[:, 1::2].set(0.0)], axis=-1)
    return jax.jit(jax.vmap(highest_other_score, (None, 0)))(model, tokens).max()


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
    assert highest_score(model, tokens) <= 0


RATES = {"gradient": 1, "accelerated": 1, "chebyshev": 2}


@pytest.mark.parametrize("scheme", RATES)
def test_digits_grow_with_depth_as_the_condition_number_says(scheme):
    """The worst direction of a history in which one arm is pulled again and again."""
    family = dataclasses.replace(BANDIT, horizon=60)
    steps, depth = 2 * 60 - 1, 121
    construction = linucb.linucb(family, scheme=scheme, depth=depth)
    model = build(construction)
    arms = np.array([[1.0, 1.0], [1.0, 0.5], [0.5, -1.0], [-1.0, 1.0]])
    tokens = np.zeros((steps, 11))
    tokens[::2, :8] = arms.ravel()
    tokens[1::2, 8:10], tokens[1::2, 10] = arms[0], 1.0
    # A has the eigenvalues 1, of what was never seen, and 1 + 59 · 2: κ is theirs
    least, most = ridge.curvatures(1.0, 2.0, 60, tight=True)
    assert most / least == pytest.approx(119)
    field = "solution" if scheme == "accelerated" else "point"

    @jax.jit
    def errors(model, tokens):
        def error(stream):
            solved = construction.stream.read(field, stream[-1])
            gram = jnp.eye(2) + 59 * jnp.outer(arms[0], arms[0])
            exact = jnp.linalg.solve(gram, arms[2])  # of an arm that was not pulled
            return jnp.linalg.norm(solved[3] - exact)

        return at_every_depth(model, tokens, error, tail=1, every=4)[1]

    error = np.log(errors(model, jnp.asarray(tokens)))
    layers = np.append(0, np.arange(4, depth, 4))
    assert len(layers) == len(error)
    root = np.sqrt(least / most)
    predicted = -(root**2) if scheme == "gradient" else -RATES[scheme] * root
    inside = (layers >= 12) & (error > -25)
    slope = np.polyfit(layers[inside], error[inside], 1)[0]
    assert slope == pytest.approx(predicted, rel=0.15)


def test_every_depth_says_what_a_transformer_of_that_depth_says():
    tokenizer = interleaved_features(BANDIT)
    key_task, *keys = jax.random.split(jax.random.key(1), 3)
    trajectory = rollout(*keys, BANDIT.sample(key_task), algorithms.uniform(BANDIT))
    tokens = encode(tokenizer, trajectory)
    for scheme, tail, every in (("newton_schulz", 2, 1), ("chebyshev", 1, 3)):
        model = build(linucb.linucb(BANDIT, scheme=scheme, depth=11))

        def logits(stream, model=model):
            return model.policy(stream, tokens)

        depths, found = at_every_depth(model, tokens, logits, tail=tail, every=every)
        assert len(depths) == len(found)
        at = depths.index(10 if scheme == "chebyshev" else 11)
        if scheme == "newton_schulz":
            np.testing.assert_allclose(found[at], model(tokens), atol=1e-9)
            shorter = build(linucb.linucb(BANDIT, scheme=scheme, depth=9))
            at = depths.index(9)
        else:  # its momenta are those of each layer, whatever the depth
            shorter = build(linucb.linucb(BANDIT, scheme=scheme, depth=10))
        np.testing.assert_allclose(found[at], shorter(tokens), atol=1e-9)


def test_the_stream_behind_a_stack_is_that_of_all_its_layers():
    """Also where it is read every few layers, and their number does not divide."""
    tokens = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (7, 11)))
    model = build(linucb.linucb(BANDIT, scheme="chebyshev", depth=12))

    def logits(stream):
        return model.policy(stream, tokens)

    depths, found = at_every_depth(model, tokens, logits, tail=0, every=4)
    assert depths == [0, 4, 8, 12]
    np.testing.assert_allclose(found[-1], model(tokens), atol=1e-9)
    looped = Transformer(
        TransformerConfig(num_layers=1, schedule=(0, 0)),
        token_size=11,
        num_actions=4,
        max_tokens=7,
        rngs=nnx.Rngs(0),
    )
    with pytest.raises(ValueError, match="no loops"):
        at_every_depth(looped, tokens, logits, tail=0)


def test_newton_schulz_has_an_odd_number_of_layers():
    with pytest.raises(ValueError, match="odd number from 5 on, got 16"):
        linucb.linucb(BANDIT, depth=16)


def test_the_width_of_the_theorem():
    family = envs.family("LinearBandit-Lin2023-v0")
    # √5 + 1.5 √(2 ln 2000 + 5 ln 201), by hand; 11.9 in our notes on the paper
    assert linucb.width_of_theorem(family) == pytest.approx(11.92, abs=0.01)


def tokens_of_thompson(construction):
    """Of Thompson sampling, which the construction plays by the same draws."""
    algorithm = algorithms.linear_thompson(BANDIT, root="symmetric", prior_variance=1.0)
    tokenizer = interleaved_features(BANDIT)
    model = build(construction)
    mine, theirs, tokens = played(
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
    require_limits(construction, np.asarray(tokens))
    assert highest_score(model, tokens, noise=2) <= 0
    return tokens


def test_thompson_sampling_is_played_by_a_transformer_that_reads_its_draw():
    tokens = tokens_of_thompson(linear_thompson.linear_thompson(BANDIT))
    # sums are larger than what a head meets elsewhere: they need a bound of their own
    lower = build(linear_thompson.linear_thompson(BANDIT, bound_of_sums=8.0))
    assert highest_score(lower, tokens, noise=2) > 0


def test_thompson_sampling_is_played_with_the_root_of_the_proof():
    construction = linear_thompson.linear_thompson(
        BANDIT, scheme="pade", terms=10, descent_layers=120
    )
    assert construction.depth == 241
    tokens_of_thompson(construction)


def test_a_root_needs_terms_and_layers():
    for name in ("terms", "descent_layers"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            linear_thompson.linear_thompson(BANDIT, scheme="pade", **{name: 0})


def test_nodes_can_stand_behind_either_root():
    tokenizer = interleaved_features(BANDIT)
    key_task, *keys = jax.random.split(jax.random.key(1), 3)
    trajectory = rollout(*keys, BANDIT.sample(key_task), algorithms.uniform(BANDIT))
    tokens = encode(tokenizer, trajectory)
    make = functools.partial(linear_thompson.linear_thompson, BANDIT, num_nodes=16)
    one = build(make())
    other = build(make(scheme="pade", terms=8, descent_layers=100))
    np.testing.assert_allclose(
        jax.nn.softmax(one(tokens)[::2]), jax.nn.softmax(other(tokens)[::2]), atol=1e-3
    )


@pytest.mark.parametrize("prior_ridge", [0.1, 1.0, 9.0])
def test_descent_converges_from_the_first_token_on(prior_ridge):
    """Also where the ridge outweighs what one arm can add to a step."""
    construction = linucb.linucb(
        BANDIT, scheme="accelerated", depth=200, ridge=prior_ridge
    )
    model = build(construction)
    arms = np.array([[1.0, 1.0], [1.0, 0.5], [0.5, -1.0], [-1.0, 1.0]])
    tokens = jnp.asarray([[*arms.ravel(), 0.0, 0.0, 0.0]])

    def solved(stream):
        return construction.stream.read("solution", stream[0])[1:]

    found = at_every_depth(model, tokens, solved, tail=1, every=199)[1][-1]
    np.testing.assert_allclose(found, arms / prior_ridge, rtol=1e-3)


@pytest.mark.parametrize("terms, error", [(4, 0.04), (8, 1.2e-3), (16, 1e-6)])
def test_the_root_of_the_proof(terms, error):
    """One term fewer would have twice the error; T = 200, d = 5."""
    root = pade.root(terms, 2.25, 5.0, 200)
    eigenvalues = np.geomspace(2.25, 2.25 + 5 * 199, 500)
    found = np.zeros(500)
    for i, value in enumerate(eigenvalues):
        x = value / root.centre - 1
        solved = 1 / (1 + root.b * x)
        for system, exact in zip(pade.systems(root, np.ones(1)), solved, strict=True):
            assert system.right is not None
            matrix = system.weight * (value - 2.25) + system.ridge
            assert system.right[0] / matrix == pytest.approx(exact)
        u = np.array([[Form({0: value})] for value in solved])
        (form,) = pade.combined(root, np.array([Form({0: 1.0})]), u)
        found[i] = form.weights[0]
    worst = abs(found / np.sqrt(eigenvalues) - 1).max()
    assert worst < error
    assert root.most / root.least < 500


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
    # neither plays uniformly: few values are clipped, and actions differ
    assert np.ptp(np.exp(exact), axis=-1).max() > 0.2

    @functools.partial(jax.jit, static_argnums=2)
    def share_below(model, tokens, cap):
        return ucb_vi.share_below_clip(construction, model, tokenizer, tokens, cap)

    assert share_below(model, tokens[0], 3.0) > 0.5
    assert share_below(model, tokens[0], 0.3) < 0.5  # what was never tried: 0.4
    require_limits(construction, np.asarray(tokens))
    assert highest_score(model, tokens) <= 0


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
    assert highest_score(model, tokens) <= 0


def test_the_integral_of_legendre_is_that_of_a_polynomial():
    nodes, weights, integral = bernoulli_thompson.legendre(8)
    np.testing.assert_allclose(weights @ nodes**5, 1 / 6, atol=1e-14)
    np.testing.assert_allclose(integral @ nodes**5, nodes**6 / 6, atol=1e-14)
