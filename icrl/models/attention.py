"""Causal attention, softmax or ReLU, in parallel and with cached keys and values."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from icrl.config import TransformerConfig
from icrl.models.base import linear, residual_std, weight_std

READ_STEPS = 8  # lengths of cache among which a step chooses what it reads
MIN_READ = 16  # tokens; shorter reads save nothing


Weigh = Callable[[Array, Array], Array]  # (scores, position) -> weights


class AttentionCache(NamedTuple):
    """Keys and values of the tokens read so far; what stands behind is not read."""

    keys: Float[Array, "heads dim max_tokens"]
    values: Float[Array, "heads max_tokens dim"]


class CausalAttention(nnx.Module):
    """Multi-head attention to this token and those before it, `config.attention` style.

    "softmax": weights softmax(q·k / √dim), with biases as in GPT-2.
    "relu": weights relu(q·k) / i for token i = 1, 2, ..., without biases of queries,
    keys and values. A sum over tokens divided by their number: what the theory's
    transformers use.

    Source: Vaswani et al. 2017, Section 3.2, and Radford et al. 2019; Lin, Bai and Mei
    2023, arXiv 2310.08566, Section 2 and its code, which ignores its number of heads.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        self.width, self.num_heads = width, config.num_heads
        self.query_block = config.query_block
        self.dtype = dtype
        self.relu = config.attention == "relu"
        self.project = linear(
            width,
            3 * width,
            std=weight_std(config),
            bias=not self.relu,
            dtype=dtype,
            rngs=rngs,
        )
        # Lin et al.'s values have the full width: one head's are the output itself
        self.combine = (
            None
            if self.relu and config.num_heads == 1
            else linear(width, width, std=residual_std(config), dtype=dtype, rngs=rngs)
        )

    def parallel(self, x: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """Mixes all tokens, each with those before it."""
        return self._attend(*self._project(x))

    def init_cache(self, max_tokens: int) -> AttentionCache:
        """Returns the memory of no tokens, with room for `max_tokens`."""
        heads, dim = self.num_heads, self.width // self.num_heads
        return AttentionCache(
            keys=jnp.zeros((heads, dim, max_tokens), self.dtype),
            values=jnp.zeros((heads, max_tokens, dim), self.dtype),
        )

    def prefill(
        self, x: Float[Array, "time width"], length: Int[Array, ""], max_tokens: int
    ) -> tuple[AttentionCache, Float[Array, "time width"]]:
        """As `parallel`; returns also the memory after the first `length` tokens."""
        del length  # a step at `length` reads no later one, and overwrites the next
        queries, keys, values = self._project(x)
        room = (0, max_tokens - x.shape[0])
        cache = AttentionCache(
            keys=jnp.pad(keys.swapaxes(1, 2), ((0, 0), (0, 0), room)),
            values=jnp.pad(values, ((0, 0), room, (0, 0))),
        )
        return cache, self._attend(queries, keys, values)

    def step(
        self, cache: AttentionCache, position: Int[Array, ""], x: Float[Array, " width"]
    ) -> tuple[AttentionCache, Float[Array, " width"]]:
        """Mixes one token with those in memory; `position` counts from 0."""
        query, key, value = self._project(x[None])
        cache = AttentionCache(
            keys=jax.lax.dynamic_update_slice_in_dim(
                cache.keys, key.swapaxes(1, 2), position, axis=2
            ),
            values=jax.lax.dynamic_update_slice_in_dim(
                cache.values, value, position, axis=1
            ),
        )
        mixed = read_cache(cache, position, query[:, 0], self._weigh)
        return cache, self._combine(mixed.reshape(-1))

    def peek(
        self, cache: AttentionCache, position: Int[Array, ""], x: Float[Array, " width"]
    ) -> Float[Array, " width"]:
        """The same without a write: questions under `vmap` share one cache."""
        query, key, value = (part[:, 0] for part in self._project(x[None]))
        mixed = peek_cache(cache, position, query, key, value, self._weigh)
        return self._combine(mixed.reshape(-1))

    @property
    def _weigh(self) -> Weigh:
        return relu_weights if self.relu else softmax_weights

    def _project(self, x: Float[Array, "time width"]):
        """Queries (scaled for softmax), keys, values, each `[heads, time, dim]`."""
        time, width = x.shape
        dim = width // self.num_heads
        projected = self.project(x).reshape(time, 3, self.num_heads, dim)
        queries, keys, values = projected.transpose(1, 2, 0, 3)
        return queries if self.relu else queries * dim**-0.5, keys, values

    def _attend(self, queries: Array, keys: Array, values: Array):
        attend = relu_attention if self.relu else softmax_attention
        mixed = attend(queries, keys, values, self.query_block)
        heads, time, dim = mixed.shape
        return self._combine(mixed.swapaxes(0, 1).reshape(time, heads * dim))

    def _combine(
        self, heads: Float[Array, "*time width"]
    ) -> Float[Array, "*time width"]:
        return heads if self.combine is None else self.combine(heads)


def softmax_attention(
    queries: Float[Array, "heads time dim"],
    keys: Float[Array, "heads time dim"],
    values: Float[Array, "heads time dim"],
    block: int,
) -> Float[Array, "heads time dim"]:
    """softmax(mask(Q Kᵀ)) V, where each token sees itself and those before it.

    A block of queries is compared with the keys up to its own end only: half the work
    of the full square, and what is in hand stays in the processor's cache.

    Args:
        queries: already divided by sqrt(dim).
        keys: what they are compared with.
        values: what is averaged.
        block: queries per block; it changes the speed and not the result.
    """
    time = queries.shape[1]
    # one column more sums the weights: dividing the mean afterwards spares two passes
    # over the weights, one here and one in the gradient
    values = jnp.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    mixed = []
    for start in range(0, time, block):
        end = min(start + block, time)
        scores = jnp.einsum(
            "hqd,hkd->hqk",
            queries[:, start:end],
            keys[:, :end],
            preferred_element_type=jnp.float32,
        )
        seen = jnp.arange(end)[None, None] <= jnp.arange(start, end)[None, :, None]
        scores = jnp.where(seen, scores, -1e30)  # -inf would make gradients NaN
        largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
        sums = jnp.einsum(
            "hqk,hkd->hqd",
            jnp.exp(scores - largest).astype(values.dtype),
            values[:, :end],
            preferred_element_type=jnp.float32,
        )
        mixed.append(sums[..., :-1] / sums[..., -1:])
    return jnp.concatenate(mixed, axis=1).astype(values.dtype)


def relu_attention(
    queries: Float[Array, "heads time dim"],
    keys: Float[Array, "heads time dim"],
    values: Float[Array, "heads time dim"],
    block: int,
) -> Float[Array, "heads time dim"]:
    """mask(relu(Q Kᵀ)) V / i for token i = 1, 2, ...; blocks as `softmax_attention`.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Definition of masked attention.
    """
    time = queries.shape[1]
    mixed = []
    for start in range(0, time, block):
        end = min(start + block, time)
        scores = jnp.einsum(
            "hqd,hkd->hqk",
            queries[:, start:end],
            keys[:, :end],
            preferred_element_type=jnp.float32,
        )
        at = jnp.arange(start, end)[None, :, None]
        seen = jnp.arange(end)[None, None] <= at
        weights = jnp.where(seen, jax.nn.relu(scores), 0.0).astype(values.dtype)
        sums = jnp.einsum(
            "hqk,hkd->hqd",
            weights,
            values[:, :end],
            preferred_element_type=jnp.float32,
        )
        mixed.append(sums / (at + 1))
    return jnp.concatenate(mixed, axis=1).astype(values.dtype)


def softmax_weights(
    scores: Float[Array, "heads tokens"], position: Int[Array, ""]
) -> Float[Array, "heads tokens"]:
    """The weights of the tokens 0 to `position`; those of later ones are 0."""
    seen = jnp.arange(scores.shape[1])[None] <= position
    return jax.nn.softmax(jnp.where(seen, scores, -1e30), axis=-1)


def relu_weights(
    scores: Float[Array, "heads tokens"], position: Int[Array, ""]
) -> Float[Array, "heads tokens"]:
    """The same for attention without softmax: relu(scores) over their number."""
    seen = jnp.arange(scores.shape[1])[None] <= position
    return jnp.where(seen, jax.nn.relu(scores), 0.0) / (position + 1)


def read_cache(
    cache: AttentionCache,
    position: Int[Array, ""],
    query: Float[Array, "heads dim"],
    weigh: Weigh = softmax_weights,
) -> Float[Array, "heads dim"]:
    """Attention of one query to the tokens 0 to `position`.

    Reads the shortest of a few static lengths of the cache that holds them, so a step
    early in a game is cheap.

    Args:
        cache: keys and values.
        position: of the last token that is read.
        query: what is asked.
        weigh: `(scores, position) -> weights`.
    """
    max_tokens = cache.values.shape[1]
    stride = max(MIN_READ, -(-max_tokens // READ_STEPS))
    lengths = [*range(stride, max_tokens, stride), max_tokens]

    def reader(length: int):
        def read(cache: AttentionCache, position: Array, query: Array) -> Array:
            keys, values = cache.keys[..., :length], cache.values[:, :length]
            scores = jnp.einsum(
                "hd,hdk->hk", query, keys, preferred_element_type=jnp.float32
            )
            weights = weigh(scores, position).astype(values.dtype)
            return jnp.einsum("hk,hkd->hd", weights, values)

        return read

    return jax.lax.switch(
        position // stride, [reader(n) for n in lengths], cache, position, query
    )


def peek_cache(
    cache: AttentionCache,
    position: Int[Array, ""],
    query: Float[Array, "heads dim"],
    key: Float[Array, "heads dim"],
    value: Float[Array, "heads dim"],
    weigh: Weigh = softmax_weights,
) -> Float[Array, "heads dim"]:
    """Attention of one query to the tokens in memory, and to its own token at last.

    What `read_cache` gives once the token is written, but nothing is: under `vmap` over
    tokens alone, all of them multiply the same keys and values.

    Args:
        cache: keys and values of the tokens 0 to `position` - 1, and of any others.
        position: of the token.
        query: of the token, as its key and its value.
        key: see `query`.
        value: see `query`.
        weigh: as in `read_cache`.
    """
    scores = jnp.einsum(
        "hd,hdk->hk", query, cache.keys, preferred_element_type=jnp.float32
    )
    own = jnp.einsum("hd,hd->h", query, key, preferred_element_type=jnp.float32)
    here = jnp.arange(scores.shape[1])[None] == position
    weights = weigh(jnp.where(here, own[:, None], scores), position)
    weights = weights.astype(value.dtype)
    others = jnp.einsum("hk,hkd->hd", jnp.where(here, 0, weights), cache.values)
    return others + weights[:, position, None] * value
