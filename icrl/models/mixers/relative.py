"""Transformer-XL's attention: relative positions, and a memory of fixed length."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig
from icrl.models.attention_kernels import Heads
from icrl.models.base import at_least_float32, linear, residual_std, weight_std
from icrl.models.mixer import Mixer, Norm, segment_starts
from icrl.models.relative_kernels import (
    Past,
    Queries,
    Ring,
    band_attention,
    past_of,
    read_ring,
    ring_of,
    write_ring,
)
from icrl.registries import MIXERS


class Memory(NamedTuple):
    """What a segment of training leaves to the next: the stream that the mixer read.

    Keys and values are made of it anew, so that their weights learn from what is in
    memory, too; the memory itself is not differentiated.
    """

    rows: Float[Array, "memory width"]  # before the norm, the newest last
    length: Int[Array, ""]  # how many of the last rows are tokens, since the last reset


@MIXERS.register("relative")
class Relative(Mixer):
    """Attention to this token and the `memory` tokens before it, by their distance.

        score(i, j) = ((q_i + u) · k_j + (q_i + v) · r_{i-j}) / √dim
        0 ≤ i - j ≤ memory,   r_d = W_r φ(d), with φ of sines and cosines

    The maps have no biases. Every token looks back equally far, so that acting token by
    token equals training on segments.

    Source: Dai et al. 2019, arXiv 1901.02860, Section 3.3. There a token sees all of
    its own segment before it, and of the segment before as much as is in memory.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        self.width, self.memory = width, config.memory
        self.num_heads, self.head_dim = config.num_heads, config.head_size
        self.query_block, self.dtype = config.query_block, dtype
        inner = config.num_heads * config.head_size

        def maps(size_in: int, size_out: int, std: float | None) -> nnx.Linear:
            size = size_in, size_out
            return linear(*size, std=std, bias=False, dtype=dtype, rngs=rngs)

        self.project = maps(width, 3 * inner, weight_std(config))
        self.project_distance = maps(width, inner, weight_std(config))
        self.combine = maps(inner, width, residual_std(config))
        shape = (config.num_heads, config.head_size)
        exact = at_least_float32(dtype)
        self.content_bias = nnx.Param(0.02 * rngs.params.normal(shape, exact))
        self.distance_bias = nnx.Param(0.02 * rngs.params.normal(shape, exact))

    def init_state(self, max_tokens: int) -> Ring:
        """Returns a ring of `memory` slots, whatever the room."""
        del max_tokens
        return ring_of(self._no_past(), self._distance_keys())

    def init_memory(self, max_tokens: int) -> Memory:
        """Returns an empty stream."""
        del max_tokens
        rows = jnp.zeros((self.memory, self.width), self.dtype)
        return Memory(rows, jnp.zeros((), jnp.int32))

    def recall(self, memory: Memory, norm: Norm) -> Ring:
        """Returns the ring of a memory, under these weights."""
        _, keys, values = self._project(norm(memory.rows))
        return ring_of(Past(keys, values, memory.length), self._distance_keys())

    def mix_stream(
        self,
        stream: Float[Array, "time width"],
        norm: Norm,
        state: Ring | Memory | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], Ring | Memory | None]:
        """Mixes the normed stream; the norm is one of memory and segment together."""
        if not isinstance(state, Memory):
            how = {"reset": reset, "length": length, "remember": remember}
            return self(norm(stream), state, **how)
        rows = jax.lax.stop_gradient(state.rows).astype(stream.dtype)
        whole = jnp.concatenate([rows, stream])
        queries, keys, values = self._project(norm(whole))
        queries = Queries(*(x[:, self.memory :] for x in queries))
        known, new = keys[:, : self.memory], keys[:, self.memory :]
        known_values, new_values = values[:, : self.memory], values[:, self.memory :]
        past = Past(known, known_values, state.length)
        mixed = self._attend(queries, new, new_values, past, reset)
        if not remember:
            return mixed, None
        count = _counted(stream.shape[0], length)
        rows = jax.lax.dynamic_slice_in_dim(whole, count, self.memory)
        return mixed, Memory(rows, self._length(state.length, count, reset))

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: Ring | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], Ring | None]:
        """As `Mixer`; one token reads the ring, many read it as their past."""
        queries, keys, values = self._project(x)
        if x.shape[0] == 1 and state is not None and length is None:
            if reset is not None:
                state = state._replace(length=jnp.where(reset[0], 0, state.length))
            asked = Queries(*(one[:, 0] for one in queries))
            key, value = keys[:, 0], values[:, 0]
            mixed = self.combine(read_ring(state, asked, key, value).reshape(1, -1))
            return mixed, write_ring(state, key, value) if remember else None
        past = None if state is None else past_of(state)
        mixed = self._attend(queries, keys, values, past, reset)
        if not remember:
            return mixed, None
        before = self._no_past() if past is None else past
        count = _counted(x.shape[0], length)
        after = Past(
            self._newest(before.keys, keys, count),
            self._newest(before.values, values, count),
            self._length(before.length, count, reset),
        )
        return mixed, ring_of(after, self._distance_keys())

    def state_floats(self, tokens: int) -> int:
        """Keys and values of the tokens that are seen; those of distances are one."""
        return 2 * self.num_heads * self.head_dim * min(tokens, self.memory)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Projections, and two scores and a sum over the tokens that are seen."""
        most = self.memory + 1
        if decode:
            seen: float = min(tokens, most)
        else:
            inside = min(tokens, most)
            seen = (inside * (inside + 1) / 2 + (tokens - inside) * most) / tokens
        inner = self.num_heads * self.head_dim
        return 4 * self.width * inner + 3 * inner * seen

    def _project(self, x: Float[Array, "time width"]) -> tuple[Queries, Heads, Heads]:
        dim = self.head_dim
        projected = self.project(x).reshape(x.shape[0], 3, self.num_heads, dim)
        queries, keys, values = projected.transpose(1, 2, 0, 3)
        biases = self.content_bias[...], self.distance_bias[...]
        asked = (
            (queries + bias[:, None].astype(queries.dtype)) * dim**-0.5
            for bias in biases
        )
        return Queries(*asked), keys, values

    def _distance_keys(self) -> Float[Array, "distances heads dim"]:
        """Keys of the distances 0 to `memory`."""
        pairs = -(-self.width // 2)
        rates = 10_000.0 ** (-jnp.arange(pairs) / pairs)
        angles = jnp.outer(jnp.arange(self.memory + 1), rates)
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)
        projected = self.project_distance(waves[:, : self.width])
        return projected.reshape(self.memory + 1, self.num_heads, -1)

    def _attend(
        self,
        queries: Queries,
        keys: Heads,
        values: Heads,
        past: Past | None,
        reset: Bool[Array, " time"] | None,
    ) -> Float[Array, "time width"]:
        mixed = band_attention(
            queries,
            keys,
            values,
            self._distance_keys(),
            block=self.query_block,
            past=past,
            reset=reset,
        )
        return self.combine(mixed.swapaxes(0, 1).reshape(keys.shape[1], -1))

    def _no_past(self) -> Past:
        shape = self.num_heads, self.memory, self.head_dim
        empty = jnp.zeros(shape, self.dtype)
        return Past(empty, empty, jnp.zeros((), jnp.int32))

    def _newest(
        self,
        before: Float[Array, "heads memory dim"],
        new: Heads,
        count: Int[Array, ""],
    ) -> Float[Array, "heads memory dim"]:
        """The last `memory` tokens, of which the first `count` new ones are."""
        whole = jnp.concatenate([before, new.astype(before.dtype)], axis=1)
        return jax.lax.dynamic_slice_in_dim(whole, count, self.memory, axis=1)

    def _length(
        self,
        before: Int[Array, ""],
        count: Int[Array, ""],
        reset: Bool[Array, " time"] | None,
    ) -> Int[Array, ""]:
        """Tokens that are seen by the one behind the first `count` of a segment."""
        since = before + count
        if reset is not None:
            starts = segment_starts(reset & (jnp.arange(reset.shape[0]) < count))
            since = jnp.where(starts[-1] < 0, since, count - starts[-1])
        return jnp.minimum(since, self.memory).astype(jnp.int32)


def _counted(time: int, length: Int[Array, ""] | None) -> Int[Array, ""]:
    return jnp.asarray(time if length is None else length, jnp.int32)
