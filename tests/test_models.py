"""The Transformer, and what its options change.

Over 300 lines: options share one small model, compiled once.
"""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx

from icrl.config import LIN2023_MODEL, LIN2023_RELEASED_MODEL, TransformerConfig
from icrl.models import ModelConfig, SequenceModel, Transformer
from icrl.models.attention_kernels import relu_attention, softmax_attention
from icrl.registries import MODELS
from icrl.runs import serialization

TIME, TOKEN, ACTIONS = 37, 8, 5  # no multiple of the query block

CONFIGS = [
    TransformerConfig(num_layers=1, num_heads=1, query_block=16),
    TransformerConfig(num_layers=2, num_heads=4, query_block=16, positions="learned"),
    TransformerConfig(num_layers=1, num_heads=4, query_block=64, init="gpt2"),
    dataclasses.replace(LIN2023_MODEL, num_layers=2, query_block=16),
    TransformerConfig(
        num_layers=1, mixer=("relu",), activation="gated", query_block=16
    ),
    TransformerConfig(num_layers=1, head="features", query_block=16),
]


def build(config, seed, max_tokens=TIME + 3):
    return Transformer(
        config,
        token_size=TOKEN,
        num_actions=ACTIONS,
        max_tokens=max_tokens,
        arm_features=(ACTIONS, 1) if config.head == "features" else None,
        rngs=nnx.Rngs(seed),
    )


@functools.cache
def transformer(config, seed=0, max_tokens=TIME + 3):
    return jax.jit(lambda: build(config, seed, max_tokens))()


@jax.jit
def read(model, tokens):
    return model(tokens)


def context(seed=1, *batch):
    return jax.random.normal(jax.random.key(seed), (*batch, TIME, TOKEN))


def step_by_step(model, tokens):
    return jax.lax.scan(model.step, model.init_cache(), tokens)


@pytest.mark.parametrize("config", CONFIGS)
def test_steps_and_prefill_agree_with_the_parallel_pass(config):
    model, tokens = transformer(config), context()
    parallel = read(model, tokens)
    _, stepped = jax.jit(step_by_step)(model, tokens)
    cache, first = jax.jit(lambda model, tokens: model.prefill(tokens))(
        model, tokens[:20]
    )
    assert int(cache.position) == 20
    _, continued = jax.jit(lambda m, c, x: jax.lax.scan(m.step, c, x))(
        model, cache, tokens[20:]
    )
    np.testing.assert_allclose(stepped, parallel, atol=1e-5)
    np.testing.assert_allclose(first, parallel[:20], atol=1e-5)
    np.testing.assert_allclose(continued, parallel[20:], atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_contexts_of_different_lengths_are_read_side_by_side(config):
    model, tokens = transformer(config), context()
    lengths = jnp.array([0, 1, 20, TIME - 1])
    parallel = read(model, tokens)

    def go_on(length):
        cache, known = model.prefill(tokens, length)
        answer = model.peek(cache, tokens[length])
        cache, logits = model.step(cache, tokens[length])
        return known, answer, logits, cache.position

    known, peeked, stepped, position = jax.jit(jax.vmap(go_on))(lengths)
    np.testing.assert_allclose(known, jnp.stack([parallel] * 4), atol=1e-5)
    np.testing.assert_allclose(peeked, parallel[lengths], atol=1e-5)
    np.testing.assert_allclose(stepped, parallel[lengths], atol=1e-5)
    assert np.array_equal(position, lengths + 1)


@pytest.mark.parametrize("config", CONFIGS)
def test_questions_share_a_memory_that_does_not_keep_them(config):
    model, tokens = transformer(config), context()

    @jax.jit
    def ask(model, known, questions):
        cache = model.prefill(known)[0] if len(known) else model.init_cache()
        answers = jax.vmap(model.peek, (None, 0))(cache, questions)
        return answers, jax.vmap(model.step, (None, 0))(cache, questions)[1]

    for known in (0, 20, TIME - 1):
        answers, stepped = ask(model, tokens[:known], context(seed=known + 1)[:5])
        np.testing.assert_allclose(answers, stepped, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_later_token_never_changes_an_earlier_prediction(config):
    model = transformer(config)
    gradient = jax.jit(jax.grad(lambda tokens: model(tokens)[18].sum()))(context())
    assert (gradient[19:] == 0).all()
    assert (abs(gradient[:19]).max(axis=-1) > 0).all()


def test_the_query_block_changes_nothing_but_the_speed():
    small, whole = (
        jax.jit(jax.value_and_grad(lambda model: (model(context()) ** 2).mean()))(
            transformer(TransformerConfig(num_layers=1, query_block=block))
        )
        for block in (7, TIME)
    )
    assert jax.tree.leaves(small)[0] == pytest.approx(jax.tree.leaves(whole)[0])
    for a, b in zip(jax.tree.leaves(small), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_attention_is_the_masked_softmax():
    queries, keys, values = jax.random.normal(jax.random.key(0), (3, 2, TIME, 4))
    scores = np.array(queries @ keys.swapaxes(1, 2))
    scores[:, ~np.tril(np.ones((TIME, TIME), bool))] = -np.inf
    expected = jax.nn.softmax(scores, axis=-1) @ values
    mixed = softmax_attention(queries, keys, values, 16)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_relu_attention_is_a_mean_over_the_tokens_so_far():
    queries, keys, values = jax.random.normal(jax.random.key(0), (3, 2, TIME, 4))
    weights = np.tril(np.maximum(queries @ keys.swapaxes(1, 2), 0))
    expected = weights @ np.asarray(values) / np.arange(1, TIME + 1)[:, None]
    mixed = relu_attention(queries, keys, values, 16)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def plain_attention(kind, queries, keys, values, reset):
    """The whole square at once, for jax to differentiate."""
    time = jnp.arange(queries.shape[1])
    start = jnp.maximum(jax.lax.cummax(jnp.where(reset, time, -1)), 0)
    seen = (time[None] <= time[:, None]) & (time[None] >= start[:, None])
    scores = queries @ keys.swapaxes(1, 2)
    if kind == "softmax":
        return jax.nn.softmax(jnp.where(seen[None], scores, -jnp.inf), axis=-1) @ values
    weights = jnp.where(seen[None], jax.nn.relu(scores), 0.0)
    return weights @ values / (time - start + 1)[None, :, None]


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("resets", [(), (0, 9, 10, 33)])
@pytest.mark.parametrize("kind", ["softmax", "relu"])
def test_gradients_of_attention_are_those_of_the_whole_square(
    kind, resets, backend, monkeypatch
):
    """Of contexts side by side, whose keys are shared, in blocks that do not divide.

    On a processor they come one after another, elsewhere at once.
    """
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    given = jax.random.normal(jax.random.key(0), (4, 3, 2, TIME, 4))
    queries, keys, values, wanted = given[0], given[1, 0], given[2], given[3]
    reset = jnp.zeros(TIME, bool).at[jnp.array(resets, int)].set(True)
    attend = {"softmax": softmax_attention, "relu": relu_attention}[kind]

    def in_blocks(queries, keys, values):
        return attend(queries, keys, values, 16, reset if resets else None)

    def gradients(one):
        def total(*inputs):
            return (jax.vmap(one, (0, None, 0))(*inputs) * wanted).sum()

        return jax.jit(jax.grad(total, (0, 1, 2)))(queries, keys, values)

    plain = functools.partial(plain_attention, kind, reset=reset)
    for ours, expected in zip(gradients(in_blocks), gradients(plain), strict=True):
        assert abs(expected).max() > 0.1
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_released_model_has_the_papers_size():
    """70.6 thousand weights for 10 arms of 5 features (lin2023.md, Section 3.1). Ours
    has a shorter table of positions, and no constant and raw position in its input."""
    size, actions, tokens = 5 * 10 + 10 + 1, 10, 2 * 200
    model = Transformer(
        LIN2023_RELEASED_MODEL,
        token_size=size,
        num_actions=actions,
        max_tokens=tokens,
        rngs=nnx.Rngs(0),
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model)))
    longer_table, inputs = (4 * 201 - tokens) * 32, 2 * 32
    assert round(count + longer_table + inputs, -2) == 70_600


def test_large_scores_neither_overflow_nor_vanish():
    queries, keys, values = jax.random.normal(jax.random.key(0), (3, 1, TIME, 4))

    def total(queries):
        return softmax_attention(300 * queries, 300 * keys, values, 16).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(queries)
    scores = jnp.tril(300.0 * 300.0 * queries[0] @ keys[0].T, 0)
    seen = jnp.where(jnp.tril(jnp.ones_like(scores)) > 0, scores, -jnp.inf)
    of_largest = values[0][jnp.argmax(seen, axis=-1)].sum()  # it outweighs all others
    np.testing.assert_allclose(value, of_largest, rtol=1e-4)
    assert jnp.isfinite(gradient).all()


def test_seeds_and_tasks_are_vmapped():
    config = TransformerConfig(num_layers=1, query_block=16)
    tokens = context(1, 2)
    models = jax.vmap(lambda key: build(config, key))(
        jax.random.split(jax.random.key(0), 3)
    )
    play = jax.vmap(jax.vmap(step_by_step, (None, 0)), (0, None))
    logits = jax.jit(jax.vmap(lambda model: jax.vmap(model)(tokens)))(models)
    assert logits.shape == (3, 2, TIME, ACTIONS)
    assert abs(logits[0] - logits[1]).max() > 0.1
    _, stepped = jax.jit(play)(models, tokens)
    np.testing.assert_allclose(stepped, logits, atol=1e-5)


def test_a_cache_is_written_in_place_where_rollouts_are_vmapped(as_users_compile):
    """`vmap` makes a scatter of the write, which XLA must turn back, without a copy."""
    model = transformer(TransformerConfig(num_layers=1))
    play = jax.jit(jax.vmap(step_by_step, (None, 0)))
    program = play.lower(model, context(1, 2)).compile(as_users_compile).as_text()
    steps, _, _ = program.partition("\nENTRY ")  # which copies the zeros
    keys_or_values = re.escape("f32[2,4,8,40]") + r"\S* ([a-z-]+)\("
    made = re.findall(keys_or_values, steps)
    assert made.count("dynamic-update-slice") == 2
    assert not {"scatter", "copy"} & set(made)


@pytest.mark.parametrize("method", ["__call__", "prefill"])
def test_a_context_that_is_too_long_is_refused(method):
    model = transformer(CONFIGS[0], max_tokens=8)
    with pytest.raises(ValueError, match="context of 12 tokens exceeds the model's 8"):
        getattr(model, method)(context()[:12])


def test_bfloat16_is_close_and_leaves_weights_and_logits_in_float32():
    config = TransformerConfig(num_layers=2, query_block=16)
    exact = transformer(config)
    model = transformer(dataclasses.replace(config, dtype="bfloat16"))
    cache, stepped = jax.jit(step_by_step)(model, context())
    logits = read(model, context())
    gradient = jax.jit(jax.grad(lambda model: (model(context()) ** 2).mean()))(model)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(gradient)} == {"float32"}
    assert cache.mixers[0].keys.dtype == jnp.bfloat16
    assert logits.dtype == stepped.dtype == jnp.float32
    np.testing.assert_allclose(stepped, logits, atol=0.1)
    expected = read(exact, context())
    np.testing.assert_allclose(logits, expected, atol=0.1)
    assert abs(logits - expected).max() > 0


def test_two_models_of_one_config_have_equal_structures():
    structures = {jax.tree.structure(build(CONFIGS[1], seed)) for seed in (0, 1)}
    assert len(structures) == 1


def test_a_feature_head_scores_every_arm_by_the_same_function():
    model, tokens = (
        transformer(TransformerConfig(num_layers=1, head="features")),
        context(),
    )
    stream = jax.random.normal(jax.random.key(3), (TIME, 32))
    turned = tokens.at[:, :ACTIONS].set(tokens[:, :ACTIONS][:, ::-1])  # one number each
    logits = model.policy(stream, tokens)
    np.testing.assert_allclose(model.policy(stream, turned), logits[:, ::-1], atol=1e-6)
    assert logits.std() > 0
    with pytest.raises(ValueError, match="needs tokens that show the arms' features"):
        Transformer(
            TransformerConfig(head="features"),
            token_size=TOKEN,
            num_actions=ACTIONS,
            max_tokens=TIME,
            rngs=nnx.Rngs(0),
        )


def test_a_gated_mlp_is_a_product_of_two_projections():
    mlp = transformer(TransformerConfig(num_layers=1, activation="gated")).blocks[0].mlp
    x = jax.random.normal(jax.random.key(2), (3, 32))
    gate, value = jnp.split(mlp.expand(x), 2, axis=-1)
    assert gate.shape == value.shape == (3, 128)
    expected = mlp.contract(jax.nn.gelu(gate) * value)
    np.testing.assert_allclose(mlp(x), expected, atol=1e-6)


def test_gpt2_weights_have_its_deviations():
    config = TransformerConfig(width=128, num_layers=2, init="gpt2")
    block = transformer(config).blocks[0]
    assert block.mlp.expand.kernel[...].std() == pytest.approx(0.02, rel=0.05)
    for residual in (block.mlp.contract, block.mixer.combine):
        assert residual.kernel[...].std() == pytest.approx(0.01, rel=0.05)
        assert not residual.bias[...].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 10}, r"width \(10\) must be a multiple of num_heads"),
        ({"num_layers": 0}, "num_layers must be positive, got 0"),
        ({"width": 32.5}, "width must be a whole number, got 32.5"),
        ({"hidden": 0}, "hidden must be positive, got 0"),
        ({"mixer": ("linar",)}, "no mixer 'linar'; did you mean linear"),
        ({"mixer": ()}, "mixer must name 1 to num_layers=2 mixers, got 0"),
        ({"mixer": "gru"}, "mixer must be a tuple, got 'gru'"),
        ({"join": "sum"}, "no join 'sum'; there are: add, gru"),
        ({"activation": "swish"}, "activation must be one of gelu, relu, gated, got"),
        ({"positions": "rope"}, "positions must be one of none, learned, got 'rope'"),
        ({"head": "foo"}, "head must be one of linear, features, got 'foo'"),
        ({"init": "xavier"}, "init must be one of fan_in, gpt2, got 'xavier'"),
        ({"norm": "off"}, "norm must be one of pre, post, none, got 'off'"),
        ({"dtype": "float16"}, "dtype must be one of float32, bfloat16, float64"),
        ({"schedule": (0, 0)}, "schedule must use each of the blocks 0 to 1"),
        ({"schedule": (0, 1, 2)}, "schedule must use each of the blocks 0 to 1"),
        ({"bias": "yes"}, "bias must be true or false, got 'yes'"),
    ],
)
def test_what_makes_no_model_is_refused_where_it_is_made_replaced_or_read(
    changes, message, monkeypatch
):
    # a user has no run-time checks of annotations
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**{"num_layers": 2, **changes})
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TransformerConfig(num_layers=2), **changes)
    written = serialization.encode(TransformerConfig(num_layers=2))
    if not isinstance(changes.get("mixer"), str):  # JSON knows no tuples
        with pytest.raises(ValueError, match=message):
            serialization.decode(TransformerConfig, written | changes)


@pytest.mark.parametrize("name", MODELS.names())
def test_every_registered_model_is_made_by_its_config(name):
    config = MODELS[name]()
    assert isinstance(config, ModelConfig) and type(config).__name__ == name
    assert serialization.decode(type(config), serialization.encode(config)) == config
    model = config.make(
        token_size=TOKEN, num_actions=ACTIONS, max_tokens=TIME, rngs=nnx.Rngs(0)
    )
    assert isinstance(model, SequenceModel) and model.max_tokens == TIME
    _, stepped = jax.jit(step_by_step)(model, context())
    np.testing.assert_allclose(stepped, read(model, context()), atol=1e-5)


def test_float64_is_refused_where_jax_has_none_and_exact_where_it_has():
    config = TransformerConfig(num_layers=1, dtype="float64")
    with pytest.raises(ValueError, match="'float64' needs JAX_ENABLE_X64=1, got 0"):
        transformer(config)
    with jax.enable_x64(True):
        model, tokens = transformer(config), np.asarray(context(), np.float64)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(model)} == {"float64"}
        _, stepped = jax.jit(step_by_step)(model, tokens)
        logits = jax.jit(lambda model, tokens: model(tokens))(model, tokens)
        assert logits.dtype == stepped.dtype == np.float64
        np.testing.assert_allclose(stepped, logits, atol=1e-13)


def test_without_norms_and_biases_there_are_none():
    config = TransformerConfig(num_layers=1, norm="none", bias=False)
    names = {
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(transformer(config).blocks)
    }
    assert len(names) == 4 and all("kernel" in name for name in names)
    relu = transformer(TransformerConfig(num_layers=1, mixer=("relu",), bias=True))
    assert relu.blocks[0].mixer.project.bias is not None


def test_a_value_head_reads_the_stream_that_the_policy_reads():
    model = transformer(TransformerConfig(num_layers=1, value_head=True))
    x, _ = model.features(context())
    np.testing.assert_array_equal(model.policy(x, context()), model(context()))
    weights = model.value.score.kernel[...][:, 0]
    np.testing.assert_allclose(model.value(x), x @ weights, atol=1e-5)
    assert transformer(TransformerConfig(num_layers=1)).value is None


def test_a_schedule_injects_what_a_loop_began_with():
    plain = TransformerConfig(num_layers=3, schedule=(0, 1, 1, 2))
    injected = dataclasses.replace(plain, inject=True)
    model, x = transformer(injected), context()
    blocks = model.blocks
    begun = blocks[0](model.embed(x))[0]
    once = blocks[1](begun)[0]
    expected = blocks[2](blocks[1](once + begun)[0])[0]
    np.testing.assert_allclose(
        model(x), model.policy(model.norm(expected), x), atol=1e-5
    )
    assert abs(model(x) - transformer(plain)(x)).max() > 1e-2
