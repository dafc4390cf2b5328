"""Every registered mixer keeps the contract, in every way to read a sequence.

Over 300 lines: what each mixer is by its equation stands beside the contract.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from icrl.config import TransformerConfig
from icrl.models import Mixer, Transformer
from icrl.models.blocks import Stack
from icrl.models.mixers.linear import feature_map
from icrl.registries import JOINS, MIXERS

TIME, TOKEN, ACTIONS, KNOWN = 37, 8, 5, 20
RESETS = (5, 24, 30)  # where contexts begin that are packed into one; one lies in KNOWN
CONFIGS = {
    **{name: TransformerConfig(num_layers=1, mixer=(name,)) for name in MIXERS.names()},
    **{
        f"join {name}": TransformerConfig(num_layers=1, join=name)
        for name in JOINS.names()
        if name != "add"
    },
    "hybrid": TransformerConfig(num_layers=2, mixer=("gru", "softmax")),
    "loop": TransformerConfig(
        num_layers=2, mixer=("gru", "softmax"), schedule=(0, 1) * 2
    ),
    "relative, memory 7": TransformerConfig(
        num_layers=1, mixer=("relative",), memory=7
    ),
    "positions": TransformerConfig(num_layers=1, positions="learned"),
}
CONFIGS = {
    name: dataclasses.replace(config, query_block=16)
    for name, config in CONFIGS.items()
}


def make(config, seed=0):
    return Transformer(
        config,
        token_size=TOKEN,
        num_actions=ACTIONS,
        max_tokens=TIME + 3,
        rngs=nnx.Rngs(seed),
    )


def segment(model, cache, tokens, reset=None):
    """Logits of several tokens at once after a memory, and the memory after them."""
    x, after = model.features(tokens, cache, reset=reset, remember=True)
    return model.policy(x, tokens), after


def steps(model, cache, tokens, reset=None):
    def step(cache, now):
        return model.step(cache, now[0], reset=None if reset is None else now[1])

    flags = jnp.zeros(tokens.shape[0], bool) if reset is None else reset
    return jax.lax.scan(step, cache, (tokens, flags))


@functools.cache
def readings(name):
    """One context read in every way, compiled once."""

    @jax.jit
    def read(model, tokens, garbage, reset):
        cache, prefilled = model.prefill(tokens, jnp.asarray(KNOWN))
        dirty, _ = model.prefill(garbage, jnp.asarray(KNOWN))
        rest = tokens[KNOWN:]
        continued, at_end = segment(model, cache, rest)
        packed, packed_end = segment(model, cache, rest, reset[KNOWN:])
        whole, _ = model.prefill(tokens)
        partial = model.features(
            tokens, reset=reset, length=jnp.asarray(KNOWN), remember=True
        )[1]
        after_reset, after_reset_end = segment(model, partial, rest, reset[KNOWN:])
        return {
            "parallel": model(tokens),
            "steps": steps(model, model.init_cache(), tokens)[1],
            "prefill": prefilled,
            "prefill, then steps": steps(model, cache, rest)[1],
            "prefill, then a segment": continued,
            "questions": jax.vmap(model.peek, (None, 0))(cache, rest),
            "questions as steps": jax.vmap(model.step, (None, 0))(cache, rest)[1],
            "cache": cache,
            "dirty cache": dirty,
            "next after clean": model.peek(cache, rest[0]),
            "next after dirty": model.peek(dirty, rest[0]),
            "next after segment": model.peek(at_end, rest[0]),
            "next after whole": model.peek(whole, rest[0]),
            "packed": model(tokens, reset=reset),
            "packed steps": steps(model, model.init_cache(), tokens, reset)[1],
            "packed after a memory": packed,
            "next after packed": model.peek(packed_end, rest[0]),
            "after a memory with resets": after_reset,
            "next after both": model.peek(after_reset_end, rest[0]),
            "contexts": [
                model(tokens[a:b])
                for a, b in zip((0, *RESETS), (*RESETS, TIME), strict=True)
            ],
            "unpacked after a memory": model(tokens[: RESETS[1]]),
            "next after the last": model(
                jnp.concatenate([tokens[RESETS[-1] :], rest[:1]])
            )[-1],
        }

    tokens = jax.random.normal(jax.random.key(1), (TIME, TOKEN))
    garbage = tokens.at[KNOWN:].set(1e3)
    reset = jnp.zeros(TIME, bool).at[jnp.array(RESETS)].set(True)
    return jax.tree.map(np.asarray, read(make(CONFIGS[name]), tokens, garbage, reset))


def same(one, other):
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_all_ways_to_read_a_context_agree(name):
    found = readings(name)
    parallel = found["parallel"]
    same(found["steps"], parallel)
    same(found["prefill"], parallel)
    for way in ("steps", "a segment"):
        same(found[f"prefill, then {way}"], parallel[KNOWN:])
    same(found["questions"], found["questions as steps"])
    same(found["questions"][0], parallel[KNOWN])
    same(found["next after segment"], found["next after whole"])


@pytest.mark.parametrize("name", CONFIGS)
def test_what_stands_behind_the_length_leaves_no_trace(name):
    found = readings(name)
    for clean, dirty in zip(
        jax.tree.leaves(found["cache"]),
        jax.tree.leaves(found["dirty cache"]),
        strict=True,
    ):
        np.testing.assert_array_equal(clean, dirty)
    np.testing.assert_array_equal(found["next after dirty"], found["next after clean"])


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_contexts_are_as_if_apart(name):
    found = readings(name)
    apart = np.concatenate(found["contexts"])
    same(found["packed"], apart)
    same(found["packed steps"], apart)
    same(found["packed after a memory"][RESETS[1] - KNOWN :], apart[RESETS[1] :])
    before = found["unpacked after a memory"][KNOWN:]
    same(found["packed after a memory"][: RESETS[1] - KNOWN], before)
    same(found["after a memory with resets"], apart[KNOWN:])
    for way in ("packed", "both"):
        same(found[f"next after {way}"], found["next after the last"])


@pytest.mark.parametrize("name", CONFIGS)
def test_later_tokens_leak_nothing_and_every_parameter_is_trained(name):
    model = make(CONFIGS[name])

    @jax.jit
    def gradients(model, tokens):
        return jax.grad(lambda m, x: m(x)[18].sum(), argnums=(0, 1))(model, tokens)

    of_model, of_tokens = gradients(
        model, jax.random.normal(jax.random.key(1), (TIME, TOKEN))
    )
    assert (of_tokens[19:] == 0).all()
    seen = abs(of_tokens[:19]).max(axis=-1) > 0
    least = {"identity": 1, "relu_own": 1, "relative, memory 7": 8}.get(name, 19)
    assert seen.sum() == least and seen[19 - least :].all()
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert len(leaves) == len(jax.tree.leaves(model)), "a constant would be trained"
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(of_model))


def test_a_loop_of_three_passes_is_three_stacked_copies():
    config = TransformerConfig(num_layers=1, schedule=(0, 0, 0), query_block=16)
    loop = make(config)
    stack = make(dataclasses.replace(config, num_layers=3, schedule=None), seed=1)
    stack.embed, stack.norm, stack.policy = loop.embed, loop.norm, loop.policy
    stack.blocks = nnx.List([loop.blocks[0]] * 3)
    tokens = jax.random.normal(jax.random.key(1), (TIME, TOKEN))

    @jax.jit
    def ways(model, tokens):
        cache, prefilled = model.prefill(tokens, jnp.asarray(KNOWN))
        stepped = steps(model, cache, tokens[KNOWN:])[1]
        return model(tokens), prefilled, stepped, model.peek(cache, tokens[KNOWN])

    for one, other in zip(ways(loop, tokens), ways(stack, tokens), strict=True):
        same(one, other)
    assert len(jax.tree.leaves(loop)) < len(jax.tree.leaves(stack))


def reference(name, mixer, x):
    """The recurrence of a mixer by a plain loop in float64."""
    outputs = []
    if name == "mean":
        for t in range(len(x)):
            outputs.append(x[: t + 1].mean(0) - x[t])
    if name == "gru":
        state = np.zeros(32)
        sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
        kernel, bias = mixer.project_in.kernel[...], mixer.project_in.bias[...]
        for row in x:
            r_x, z_x, c_x = np.split(row @ kernel + bias, 3)
            r_h, z_h, c_h = np.split(state @ mixer.recurrent[...], 3)
            r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
            candidate = np.tanh(c_x + r * (c_h + mixer.candidate_bias[...]))
            state = z * state + (1 - z) * candidate
            outputs.append(state @ mixer.combine.kernel[...])
    if name == "lstm":
        cell, hidden = np.zeros(32), np.zeros(32)
        kernel, bias = mixer.project_in.kernel[...], mixer.project_in.bias[...]
        for row in x:
            sums = row @ kernel + bias + hidden @ mixer.recurrent[...]
            i, f, o = (1 / (1 + np.exp(-v)) for v in np.split(sums, 4)[:3])
            cell = f * cell + i * np.tanh(np.split(sums, 4)[3])
            hidden = o * np.tanh(cell)
            outputs.append(hidden @ mixer.combine.kernel[...])
    if name == "linear":
        sums, total = np.zeros((4, 8, 8)), np.zeros((4, 8))
        for row in x:
            q, k, v = (row @ mixer.project.kernel[...]).reshape(3, 4, 8)
            q, k = (np.where(u >= 0, u + 1, np.exp(u)) for u in (q, k))
            sums, total = sums + k[:, :, None] * v[:, None], total + k
            y = np.einsum("hd,hde->he", q, sums)
            y = y / ((q * total).sum(1, keepdims=True) + 1e-6)
            outputs.append(y.reshape(-1) @ mixer.combine.kernel[...])
    return np.stack(outputs)


@pytest.mark.parametrize("name", ["mean", "gru", "lstm", "linear"])
def test_a_recurrence_is_its_equation(name):
    config = TransformerConfig(num_layers=1, query_block=16)
    mixer = MIXERS[name](config, rngs=nnx.Rngs(3))
    if name == "gru":
        mixer.candidate_bias = nnx.Param(jnp.linspace(-1, 1, 32))
    x = np.asarray(jax.random.normal(jax.random.key(2), (TIME, 32)), np.float64)
    y, _ = jax.jit(lambda mixer, x: mixer(x))(mixer, jnp.asarray(x, jnp.float32))
    plain = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), mixer)
    np.testing.assert_allclose(y, reference(name, plain, x), atol=2e-6)


def test_recurrent_weights_are_orthogonal_for_each_gate():
    for name, number in (("gru", 3), ("lstm", 4)):
        mixer = MIXERS[name](TransformerConfig(), rngs=nnx.Rngs(0))
        for gate in np.split(np.asarray(mixer.recurrent[...]), number, axis=1):
            np.testing.assert_allclose(gate @ gate.T, np.eye(32), atol=1e-5)


def test_the_feature_map_of_linear_attention_keeps_its_gradient():
    x = jnp.array([-80.0, -50.0, -1.0, 0.0, 3.0])
    assert (feature_map(x) > 0).all()
    slope = jax.vmap(jax.grad(lambda v: jnp.log(feature_map(v))))(x)
    np.testing.assert_allclose(slope, [1, 1, 1, 1, 0.25], atol=1e-6)


OPENED = 1 / (1 + np.exp(2.0)), 1 / (1 + np.exp(1.0))  # σ(-2), σ(-1)


@pytest.mark.parametrize(
    ("name", "carried", "let_in"),
    [
        ("add", 1.0, 1.0),
        ("gru", 1 - OPENED[0], None),
        ("input", 0.5, 1.0),
        ("output", 1.0, OPENED[1]),
        ("highway", 1 - OPENED[1], OPENED[1]),
        ("sigtanh", 1.0, None),
    ],
)
def test_a_gate_carries_the_stream_at_first(name, carried, let_in):
    """Shares by regression on both, small enough that gates stand at their biases."""
    config = TransformerConfig(width=64)
    gate = JOINS[name](config, rngs=nnx.Rngs(0))
    x, y = 0.05 * jax.random.normal(jax.random.key(0), (2, 4000, 64))
    found = jnp.linalg.lstsq(jnp.stack([x.ravel(), y.ravel()], 1), gate(x, y).ravel())
    np.testing.assert_allclose(found[0][0], carried, rtol=0.05)
    if let_in is not None:
        np.testing.assert_allclose(found[0][1], let_in, rtol=0.05)


@pytest.mark.parametrize("name", [name for name in JOINS.names() if name != "add"])
def test_the_bias_of_a_gate_is_the_configs(name):
    config = TransformerConfig(join_bias=30.0)
    x, y = jax.random.normal(jax.random.key(0), (2, 20, 32))
    out = JOINS[name](config, rngs=nnx.Rngs(0))(x, y)
    if name == "input":  # it has none
        assert abs(out - x).max() > 0.1
    else:
        np.testing.assert_allclose(out, x, atol=1e-5)


@pytest.mark.parametrize("stacked", [True, False])
def test_a_scan_over_depth_is_its_blocks_one_after_another(stacked):
    schedule = None if stacked else (0,) * 3
    config = TransformerConfig(num_layers=3 if stacked else 1, schedule=schedule)
    model = make(dataclasses.replace(config, mixer=("relu",), query_block=16))
    blocks = [*model.blocks] if stacked else model.blocks[0]
    if stacked:
        blocks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
    scanned = make(TransformerConfig(num_layers=1))
    scanned.embed, scanned.norm, scanned.policy = model.embed, model.norm, model.policy
    scanned.blocks = nnx.List([Stack(blocks, 3, stacked=stacked, one_memory=False)])
    tokens = jax.random.normal(jax.random.key(1), (TIME, TOKEN))

    @jax.jit
    def ways(model, tokens):
        cache, prefilled = model.prefill(tokens, jnp.asarray(KNOWN))
        rest = tokens[KNOWN:]
        return (
            prefilled,
            segment(model, cache, rest)[0],
            steps(model, cache, rest)[1],
            steps(model, model.init_cache(), tokens)[1],
        )

    for one, other in zip(ways(scanned, tokens), ways(model, tokens), strict=True):
        same(one, other)
    assert scanned.state_floats(9) == model.state_floats(9)
    assert scanned.multiply_adds(9) == model.multiply_adds(9)


def test_two_seeds_side_by_side_are_each_alone():
    tokens = jax.random.normal(jax.random.key(1), (TIME, TOKEN))
    config = CONFIGS["hybrid"]
    keys = jax.random.split(jax.random.key(5), 2)
    models = jax.vmap(lambda key: make(config, key))(keys)
    both = jax.jit(jax.vmap(lambda model: model(tokens)))(models)
    for i in range(2):
        alone = jax.tree.map(lambda leaf, i=i: leaf[i], models)
        same(both[i], jax.jit(lambda model: model(tokens))(alone))


@pytest.mark.parametrize("name", ["softmax", "relu", "identity"])
def test_the_cost_formula_is_what_the_compiler_counts(name):
    """Of mixers without a scan, whose body XLA counts once."""
    config = TransformerConfig(
        width=64, num_layers=2, num_heads=1, mixer=(name,), query_block=8
    )
    model = Transformer(
        config, token_size=TOKEN, num_actions=ACTIONS, max_tokens=64, rngs=nnx.Rngs(0)
    )
    tokens = jnp.zeros((64, TOKEN))
    compiled = jax.jit(lambda model, tokens: model(tokens)).lower(model, tokens)
    counted = compiled.compile().cost_analysis()["flops"] / 2 / 64
    assert model.multiply_adds(64) == pytest.approx(counted, rel=0.15)


def test_costs_of_states_and_steps_are_those_of_the_table():
    """The protocol's table of costs, for width 32, 4 heads: floats, multiply-adds."""
    sizes = {
        "softmax": (2 * 50 * 32, 4 * 32**2 + 2 * 50 * 32),
        "relu": (2 * 50 * 32, 4 * 32**2 + 2 * 50 * 32),
        "relu_own": (0, 4 * 32**2 + 2 * 32),
        "linear": (32 * 8 + 32, 4 * 32**2 + 3 * 32 * 8),
        "gru": (32, 7 * 32**2),
        "lstm": (2 * 32, 9 * 32**2),
        "relative": (2 * 50 * 32, 4 * 32**2 + 3 * 50 * 32),
        "mean": (33, 32),
        "identity": (0, 0),
    }
    for name, (floats, multiply_adds) in sizes.items():
        mixer = MIXERS[name](TransformerConfig(), rngs=nnx.Rngs(0))
        assert isinstance(mixer, Mixer)
        assert mixer.state_floats(50) == floats
        assert mixer.multiply_adds(50, decode=True) == multiply_adds
