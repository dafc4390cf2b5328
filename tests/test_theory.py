"""Constructed transformers: gadgets by brute force, agents beside their algorithms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.linear_bandit import LinearBanditFamily
from envs.random_mdp import RandomMDPFamily
from icrl import algorithms
from icrl.agents.in_context import in_context
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.theory import gadgets, linear_thompson, linucb, ridge, ucb_vi
from icrl.theory.compiler import (
    Construction,
    build,
    embedded,
    highest_other_score,
    require_limits,
)
from icrl.theory.gadgets import Head, Layer
from icrl.theory.stream import Form, Stream
from icrl.tokenizers.encoding import decisions, encode
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
TOKENS = 9


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def after(make, values, heads=True):
    """What a layer adds to the field `to` of tokens with these fields."""
    stream, embed = Stream(), []
    fields = {name: stream.add(name, *x.shape[1:]) for name, x in values.items()}
    for field in fields.values():
        embed += [*np.ravel(field)]
    to = stream.add("to")
    parts = make(stream, to=to, **fields)
    layer = Layer(parts, ()) if heads else Layer((), parts)
    construction = Construction(
        stream=stream,
        embed=embed,
        constant=Form({}),
        layers=[layer],
        logits=[to],
        max_tokens=TOKENS,
        limits=[(-9.0, 9.0)] * len(embed),
    )
    tokens = np.concatenate([x.reshape(TOKENS, -1) for x in values.values()], axis=1)
    model = build(construction)
    assert highest_other_score(model, jnp.asarray(tokens)) <= 0
    cache, found = model.init_cache(), []
    for token in jnp.asarray(tokens):
        cache, logits = model.step(cache, token)
        found.append(logits[0])
    together = model(jnp.asarray(tokens))[:, 0]
    np.testing.assert_allclose(found, together, atol=1e-9)
    return np.asarray(together)


def drawn(*shape, low=-2.0, high=2.0):
    return np.random.default_rng(0).uniform(low, high, (TOKENS, *shape))


PLACE = np.arange(1.0, TOKENS + 1)


def of_one(name, expected, heads=True, low=-2.0, **options):
    """A gadget of one number a token: its name, options, and what it should add."""
    make = functools.partial(getattr(gadgets, name), **options)
    return (
        lambda stream, to, value: make(stream, value=value, to=to),
        {"value": drawn(low=low)},
        lambda value: expected(value),
        heads,
    )


KNOTS = np.array([-1.0, 0.5, 1.5])
GADGETS = {
    "over place": of_one("times_one_over_place", lambda x: x / PLACE),
    "times place": of_one("times_place", lambda x: x * PLACE, tokens=TOKENS),
    "table": of_one(
        "table",
        lambda x: np.interp(x, KNOTS, [2.0, -1.0, 0.5]),
        heads=False,
        knots=KNOTS,
        heights=np.array([2.0, -1.0, 0.5]),
    ),
    "clipped": of_one("clipped", lambda x: np.clip(x, 0, 1.5), heads=False, most=1.5),
    "product": (
        lambda stream, to, left, right: gadgets.product(stream, left, right, to, 20.0),
        {"left": drawn(3), "right": drawn(3)[::-1]},
        lambda left, right: (left * right).sum(-1),
        True,
    ),
    "total": (
        lambda stream, to, factor, values: gadgets.total(
            stream, factor, [values], [to]
        ),
        {"factor": drawn(), "values": drawn()[::-1]},
        lambda factor, values: np.cumsum(factor * values),
        True,
    ),
    "larger": (
        lambda stream, to, left, right: gadgets.larger(left, right, to),
        {"left": drawn(), "right": drawn()[::-1]},
        lambda left, right: np.maximum(left, right),
        False,
    ),
    "gate": (
        lambda stream, to, value, flag: gadgets.gate(stream, value, flag, 2.0, to),
        {"value": drawn(low=0.0), "flag": (drawn() > 0).astype(float)},
        lambda value, flag: value * flag,
        False,
    ),
    "add": (
        lambda stream, to, value: gadgets.add(value * 3.0, to),
        {"value": drawn()},
        lambda value: 3.0 * value,
        False,
    ),
}


@pytest.mark.parametrize("name", GADGETS)
def test_a_gadget_adds_what_it_says(name):
    make, values, expected, heads = GADGETS[name]
    np.testing.assert_allclose(
        after(make, values, heads), expected(**values), atol=1e-9
    )


def test_a_bound_that_is_too_small_is_noticed():
    left, right = drawn(3, low=5.0, high=9.0), drawn(3, low=5.0, high=9.0)

    def make(stream, to, left, right):
        return gadgets.product(stream, left, right, to, 1.0)

    with pytest.raises(AssertionError):
        after(make, {"left": left, "right": right})


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


def test_a_tournament_finds_the_largest_where_the_papers_gadget_does_not():
    values = np.array([[1.0, 0.0, 1.0], [0.2, 0.1, 0.7]])
    rising = np.maximum(np.diff(values, axis=1, prepend=0.0), 0).sum(1)
    assert rising[0] == 2.0

    def make(stream, to, values):
        kept = stream.add("kept", 1, 2)
        layers = ucb_vi.maximum(stream, values[None], kept, np.array([to]))
        assert len(layers) == 2
        return layers

    stream = Stream()
    field, to = stream.add("values", 3), stream.add("to")
    construction = Construction(
        stream=stream,
        embed=[*field],
        constant=Form({}),
        layers=make(stream, to, field),
        logits=[to],
        max_tokens=2,
        limits=[(0.0, 1.0)] * 3,
    )
    found = build(construction)(jnp.asarray(values))[:, 0]
    np.testing.assert_allclose(found, values.max(1), atol=1e-12)


def test_a_layer_of_both_kinds_of_heads_reads_as_each():
    """A head that sees its own token alone may stand beside one that sees all."""

    def make(stream, to, value):
        everything = Head([stream.place], [stream.one], [value], [to], own=False)
        own = gadgets.times_one_over_place(stream, value, to)
        return [everything, *own]

    value = drawn(low=0.0)
    expected = np.cumsum(value) + value / PLACE
    np.testing.assert_allclose(after(make, {"value": value}), expected, atol=1e-9)
