"""GTrXL is what its paper says: tests of it, and mutants that show what each notices.

Over 300 lines: the measures, the mutants and the table of which notices which.

The tests have the numbers T1 to T11 and the mutants the names that they have in a study
of the public implementations: each mutant is a defect that one of these had.
"""

import inspect
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from icrl.config import TransformerConfig
from icrl.models import Transformer, blocks, relative_kernels
from icrl.models.mixers import relative

TIME, TOKEN, SEGMENT, MEMORY = 12, 3, 6, 4
RESET = 8  # inside the second segment
EXACT = 2e-5  # of float32


def make(*, memory=MEMORY, num_layers=2, seed=0, **changes):
    """A GTrXL with random values where weights begin at zero or one."""
    config = TransformerConfig(
        width=8,
        num_layers=num_layers,
        num_heads=2,
        mixer=("relative",),
        memory=memory,
        activation="relu",
        rectify=True,
        **{"join": "gru", "join_bias": 0.0, **changes},
    )
    model = Transformer(
        config, token_size=TOKEN, num_actions=2, max_tokens=TIME, rngs=nnx.Rngs(seed)
    )
    random = np.random.default_rng(seed)

    def drawn(leaf):
        drawn = random.normal(size=leaf.shape).astype(np.float32)
        return leaf + 0.5 * jnp.asarray(drawn) if leaf.ndim < 2 else leaf

    model = jax.tree.map(drawn, model)
    for block in model.blocks:
        for name in ("content_bias", "distance_bias"):
            shape = getattr(block.mixer, name).shape
            setattr(
                block.mixer, name, nnx.Param(jnp.asarray(random.normal(size=shape)))
            )
    return model


def tokens(seed=1, time=TIME):
    drawn = np.random.default_rng(seed).normal(size=(time, TOKEN))
    return jnp.asarray(drawn.astype(np.float32))


def segments(model, inputs, reset=None, memory=None):
    """The stream that heads read, segment after segment, and the memory at the end."""
    memory, parts = model.init_memory() if memory is None else memory, []
    for start in range(0, inputs.shape[0], SEGMENT):
        now = slice(start, start + SEGMENT)
        part, memory = model.features(
            inputs[now],
            memory,
            reset=None if reset is None else reset[now],
            remember=True,
        )
        parts.append(part)
    return jnp.concatenate(parts), memory


def difference(one, other):
    return float(abs(np.asarray(one) - np.asarray(other)).max())


def whole_memory():
    """T1: segments equal one pass over everything, if memory holds everything."""
    model = make(memory=TIME)
    return difference(segments(model, tokens())[0], model.features(tokens())[0])


def short_memory():
    """T2: segments equal one pass with the band, if memory is shorter."""
    model = make()
    return difference(segments(model, tokens())[0], model.features(tokens())[0])


def acting():
    """T3: one token after another equals a segment, behind a memory."""
    model, inputs, logits = make(), tokens(), []
    _, memory = segments(model, inputs[:SEGMENT])
    stream, _ = segments(model, inputs[SEGMENT:], memory=memory)
    cache = model.recall(memory)
    for token in inputs[SEGMENT:]:
        cache, now = model.step(cache, token)
        logits.append(now)
    return difference(jnp.stack(logits), model.policy(stream, inputs[SEGMENT:]))


def brute_force():
    """T4: one block equals loops over tokens in numpy, after any memory."""
    model = make(num_layers=1)
    (block,) = model.blocks
    random = np.random.default_rng(3)
    stream, rows = random.normal(size=(SEGMENT, 8)), random.normal(size=(MEMORY, 8))
    errors = []
    for length in (2, MEMORY):
        state = relative.Memory(jnp.asarray(rows, jnp.float32), jnp.asarray(length))
        found, _ = block(jnp.asarray(stream, jnp.float32), state, remember=1)
        errors.append(difference(found, block_in_numpy(block, stream, rows, length)))
    return max(errors)


def before_a_reset():
    """T5: what stands before a reset changes nothing behind it."""
    model = make()
    reset = jnp.arange(TIME) == RESET
    one, other = tokens(), tokens().at[:RESET].set(tokens(seed=2)[:RESET])
    found = (segments(model, x, reset)[0][RESET:] for x in (one, other))
    return difference(*found)


def behind_a_reset():
    """T6: what stands behind a reset is as at a fresh start."""
    model = make()
    reset = jnp.arange(TIME) == RESET
    found = segments(model, tokens(), reset)[0][RESET:]
    return difference(found, model.features(tokens()[RESET:])[0])


def empty_memory():
    """T7: random garbage in empty rows of the memory changes nothing."""
    model = make()
    memory = model.init_memory()
    random = np.random.default_rng(4)
    garbage = memory._replace(
        mixers=tuple(
            mixer._replace(rows=jnp.asarray(random.normal(size=mixer.rows.shape), "f4"))
            for mixer in memory.mixers
        )
    )
    found = (segments(model, tokens(), memory=m)[0] for m in (memory, garbage))
    return difference(*found)


def causality():
    """T8: a later token changes nothing before it."""
    model, place = make(), SEGMENT + 2
    changed = tokens().at[place + 1 :].set(tokens(seed=2)[place + 1 :])
    found = (segments(model, x)[0][: place + 1] for x in (tokens(), changed))
    return difference(*found)


def gradient_into_memory():
    """T9: nothing flows back into the segment before."""
    model = make()

    def of_second(inputs):
        return jnp.sin(segments(model, inputs)[0][SEGMENT : 2 * SEGMENT]).sum()

    gradient = jax.grad(of_second)(tokens()[: 2 * SEGMENT])
    assert abs(gradient[SEGMENT:]).max() > EXACT
    return float(abs(gradient[:SEGMENT]).max())


def closed_gates():
    """T10: with closed gates the blocks are the identity."""
    model = make()
    for block in model.blocks:
        for join in (block.join_mixer, block.join_mlp):
            join.bias = nnx.Param(jnp.full(8, 30.0))
    x = embedded = model.embed(tokens())
    for block in model.blocks:
        x, _ = block(x, block.mixer.init_memory(TIME), remember=1)
    return difference(x, embedded)


def scaled_stream():
    """T11: the mixer sees the stream through the norm alone."""
    (block,) = make(num_layers=1).blocks
    stream = jnp.asarray(np.random.default_rng(3).normal(size=(SEGMENT, 8)), "f4")
    # larger by far than what the norm adds to a variance
    small, large = (
        block.mixer.mix_stream(x, block.norm_mixer, block.mixer.init_memory(TIME))[0]
        for x in (100 * stream, 1000 * stream)
    )
    return difference(small, large)


MEASURES = {
    "T1": whole_memory,
    "T2": short_memory,
    "T3": acting,
    "T4": brute_force,
    "T5": before_a_reset,
    "T6": behind_a_reset,
    "T7": empty_memory,
    "T8": causality,
    "T9": gradient_into_memory,
    "T10": closed_gates,
    "T11": scaled_stream,
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm_in_numpy(layer, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * np.asarray(layer.scale) + np.asarray(layer.bias)


def gate_in_numpy(join, x, y):
    width = x.shape[-1]
    said, of_stream = np.asarray(join.of_said.kernel), np.asarray(join.of_stream.kernel)
    w_r, w_z, w_g = (said[:, i * width : (i + 1) * width] for i in range(3))
    u_r, u_z = of_stream[:, :width], of_stream[:, width:]
    r = sigmoid(y @ w_r + x @ u_r)
    z = sigmoid(y @ w_z + x @ u_z - np.asarray(join.bias))
    candidate = np.tanh(y @ w_g + (r * x) @ np.asarray(join.of_reset.kernel))
    return (1 - z) * x + z * candidate


def attention_in_numpy(mixer, normed, rows):
    """Loops over heads, queries and keys; `rows` of `normed` are memory."""
    width, heads, dim = 8, 2, 4
    kernel = np.asarray(mixer.project.kernel).reshape(width, 3, heads, dim)
    of_distance = np.asarray(mixer.project_distance.kernel).reshape(width, heads, dim)
    u, v = np.asarray(mixer.content_bias), np.asarray(mixer.distance_bias)
    rates = 10_000.0 ** (-np.arange(width // 2) / (width // 2))
    out = np.zeros((len(normed) - rows, heads, dim))
    for head in range(heads):
        q, k, w = (normed @ kernel[:, part, head] for part in range(3))
        for i in range(rows, len(normed)):
            nearest = range(max(0, i - MEMORY), i + 1)
            scores = []
            for j in nearest:
                waves = np.concatenate(
                    [np.sin((i - j) * rates), np.cos((i - j) * rates)]
                )
                r = waves @ of_distance[:, head]
                score = (q[i] + u[head]) @ k[j] + (q[i] + v[head]) @ r
                scores.append(score / np.sqrt(dim))
            weights = np.exp(scores - np.max(scores))
            weights /= weights.sum()
            out[i - rows, head] = sum(
                a * w[j] for a, j in zip(weights, nearest, strict=True)
            )
    return out.reshape(-1, width) @ np.asarray(mixer.combine.kernel)


def block_in_numpy(block, stream, memory, length):
    """GTrXL's block, of a memory whose last `length` rows are there."""
    memory = memory[len(memory) - length :]
    normed = norm_in_numpy(block.norm_mixer, np.concatenate([memory, stream]))
    mixed = attention_in_numpy(block.mixer, normed, length)
    x = gate_in_numpy(block.join_mixer, stream, np.maximum(mixed, 0))
    hidden = norm_in_numpy(block.norm_mlp, x) @ np.asarray(block.mlp.expand.kernel)
    hidden = np.maximum(hidden + np.asarray(block.mlp.expand.bias), 0)
    made = hidden @ np.asarray(block.mlp.contract.kernel)
    made = made + np.asarray(block.mlp.contract.bias)
    return gate_in_numpy(block.join_mlp, x, np.maximum(made, 0))


@pytest.mark.parametrize("name", MEASURES)
def test_gtrxl(name):
    assert MEASURES[name]() < EXACT, MEASURES[name].__doc__


# name -> module, and what stands in place of what
MUTANTS = {
    "rel-shift wrong row": (
        relative_kernels,
        ("later = before + 1 - number", "later = before + 2 - number"),
    ),
    "no shift": (
        relative_kernels,
        (
            "return flat[:, : size * columns].reshape(heads, size, columns)",
            "return jnp.pad(near[..., ::-1], ((0, 0), (0, 0), (columns - number, 0)))",
        ),
    ),
    "shift ignores memory offset": (
        relative_kernels,
        (
            "_by_column(near, before)",
            "jnp.pad(_by_column(near[..., :size], 0), ((0, 0), (0, 0), (0, before)))",
        ),
    ),
    "distances +1 everywhere": (
        relative,
        ("outer(jnp.arange(self.memory + 1)", "outer(1 + jnp.arange(self.memory + 1)"),
    ),
    "memory not layer-normed": (
        relative,
        ("_project(norm(whole))", "_project(jnp.concatenate([rows, norm(stream)]))"),
        ("_project(norm(memory.rows))", "_project(memory.rows)"),
    ),
    "memory stored post-LN and used as is": (
        relative,
        ("concatenate([rows, stream])", "concatenate([rows, norm(stream)])"),
        ("_project(norm(whole))", "_project(whole)"),
        ("_project(norm(memory.rows))", "_project(memory.rows)"),
    ),
    "memory stores layer output": (
        blocks,
        (
            "mixed, state = self.mixer",
            "given = state\n        mixed, state = self.mixer",
        ),
        (
            "return self._after(self.norm_mlp, self.join_mlp(x, made)), state",
            "x = self._after(self.norm_mlp, self.join_mlp(x, made))\n"
            "        if hasattr(state, 'rows'):\n"
            "            rows = jnp.concatenate([given.rows, x])[-len(given.rows):]\n"
            "            state = state._replace(rows=rows)\n"
            "        return x, state",
        ),
    ),
    "query not normed": (
        relative,
        (
            "queries, keys, values = self._project(norm(whole))",
            "(_, keys, values), queries = "
            "self._project(norm(whole)), self._project(whole)[0]",
        ),
    ),
    "no band": (relative_kernels, (" & (distance <= longest)", "")),
    "empty memory unmasked": (
        relative_kernels,
        ("before - (0 if past is None else past.length)", "0"),
    ),
    "no reset mask": (
        relative_kernels,
        ("first = jnp.where(starts < 0, first, before + starts)", "pass"),
    ),
    "gate2 arguments swapped": (
        blocks,
        ("self.join_mlp(x, made)", "self.join_mlp(made, x)"),
    ),
    "no stop-gradient": (relative, ("jax.lax.stop_gradient(state.rows)", "state.rows")),
    "no ReLU": (blocks, ("nnx.relu(said) if self.rectify else said", "said")),
    "√D scale": (relative, ("dim**-0.5", "self.width**-0.5")),
    "not causal": (relative_kernels, ("(distance >= 0) & ", "")),
}


@pytest.fixture
def mutant(monkeypatch, request):
    """Code with one defect, in place of ours."""
    module, *changes = MUTANTS[request.param]
    source = inspect.getsource(module)
    for old, new in changes:
        assert source.count(old) == 1, (request.param, old)
        source = source.replace(old, new)
    source = source.replace('@MIXERS.register("relative")', "")
    changed = {"__name__": module.__name__}
    exec(compile(source, request.param, "exec"), changed)
    for name, ours in list(vars(module).items()):
        if getattr(ours, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(ours) and issubclass(ours, tuple):
            changed[name] = ours  # a record that is passed from and to other code
        if inspect.isfunction(ours):
            for user in (module, sys.modules[relative.__name__]):
                if hasattr(user, name):
                    monkeypatch.setattr(user, name, changed[name])
        elif inspect.isclass(ours) and issubclass(ours, nnx.Module):
            for method, code in list(vars(ours).items()):
                if inspect.isfunction(code) and hasattr(changed[name], method):
                    monkeypatch.setattr(ours, method, getattr(changed[name], method))
    return request.param


NOTICED_BY = {
    "rel-shift wrong row": "T1 T3 T4 T6",
    "no shift": "T1 T2 T3 T4",
    "shift ignores memory offset": "T1 T2 T3 T4 T6 T8",
    "distances +1 everywhere": "T4",
    "memory not layer-normed": "T1 T2 T4",
    "memory stored post-LN and used as is": "T4",
    "memory stores layer output": "T1 T2",
    "query not normed": "T1 T2 T3 T4 T6 T11",
    "no band": "T2 T3 T4",
    "empty memory unmasked": "T1 T2 T4 T7",
    "no reset mask": "T5 T6",
    "gate2 arguments swapped": "T4 T10",
    "no stop-gradient": "T9",
    "no ReLU": "T4",
    "√D scale": "T4",
    "not causal": "T1 T2 T3 T4 T6 T8",
}


@pytest.mark.parametrize("mutant", MUTANTS, indirect=True)
def test_every_mutant_is_noticed(mutant):
    errors = {name: measure() for name, measure in MEASURES.items()}
    noticed = [name for name, error in errors.items() if error > EXACT]
    assert " ".join(noticed) == NOTICED_BY[mutant], errors
