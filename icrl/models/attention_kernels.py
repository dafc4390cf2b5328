"""Causal attention over blocks of queries, and of one query over cached keys."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from icrl.models.mixer import segment_starts

READ_STEPS = 8  # lengths of cache among which a step chooses what it reads
MIN_READ = 16  # tokens; shorter reads save nothing
UNSEEN = -1e30  # a score; -inf would make gradients NaN


Weigh = Callable[[Array, Array], Array]  # (scores, position) -> weights


class AttentionCache(NamedTuple):
    """Keys and values of the tokens read so far; what stands behind is not read."""

    # tokens stand last: a step multiplies along them, several times as fast
    keys: Float[Array, "heads dim max_tokens"]
    values: Float[Array, "heads dim max_tokens"]
    length: Int[Array, ""]  # tokens in memory


def products(equation: str, left: Array, right: Array) -> Array:
    """An einsum that sums in float32 at least."""
    exact = jnp.promote_types(right.dtype, jnp.float32)
    return jnp.einsum(equation, left, right, preferred_element_type=exact)


def softmax_attention(
    queries: Float[Array, "heads time dim"],
    keys: Float[Array, "heads time dim"],
    values: Float[Array, "heads time dim"],
    block: int,
    reset: Bool[Array, " time"] | None = None,
) -> Float[Array, "heads time dim"]:
    """softmax(mask(Q Kᵀ)) V, where each token sees itself and those before it.

    A block of queries is compared with the keys up to its own end only: half the work
    of the full square, and what is in hand stays in the processor's cache.

    Args:
        queries: already divided by sqrt(dim).
        keys: what they are compared with.
        values: what is averaged.
        block: queries per block; it changes the speed and not the result.
        reset: true where a token begins a sequence of its own; None: nowhere.
    """
    time = queries.shape[1]
    starts = None if reset is None else segment_starts(reset)
    # one column more sums the weights: dividing the mean afterwards spares two passes
    # over the weights, one here and one in the gradient
    values = jnp.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    mixed = []
    for start in range(0, time, block):
        end = min(start + block, time)
        scores = products("hqd,hkd->hqk", queries[:, start:end], keys[:, :end])
        seen = jnp.arange(end)[None, None] <= jnp.arange(start, end)[None, :, None]
        if starts is not None:
            seen &= jnp.arange(end)[None, None] >= starts[None, start:end, None]
        scores = jnp.where(seen, scores, UNSEEN)
        largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
        weights = jnp.exp(scores - largest).astype(values.dtype)
        sums = products("hqk,hkd->hqd", weights, values[:, :end])
        mixed.append(sums[..., :-1] / sums[..., -1:])
    return jnp.concatenate(mixed, axis=1).astype(values.dtype)


def relu_attention(
    queries: Float[Array, "heads time dim"],
    keys: Float[Array, "heads time dim"],
    values: Float[Array, "heads time dim"],
    block: int,
    reset: Bool[Array, " time"] | None = None,
) -> Float[Array, "heads time dim"]:
    """mask(relu(Q Kᵀ)) V / i for token i = 1, 2, ...; blocks as `softmax_attention`.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Definition of masked attention.
    """
    time = queries.shape[1]
    starts = None if reset is None else segment_starts(reset)
    mixed = []
    for start in range(0, time, block):
        end = min(start + block, time)
        scores = products("hqd,hkd->hqk", queries[:, start:end], keys[:, :end])
        at = jnp.arange(start, end)[None, :, None]
        seen, count = jnp.arange(end)[None, None] <= at, at + 1
        if starts is not None:
            first = jnp.maximum(starts[None, start:end, None], 0)
            seen, count = seen & (jnp.arange(end)[None, None] >= first), count - first
        weights = jnp.where(seen, jax.nn.relu(scores), 0.0).astype(values.dtype)
        sums = products("hqk,hkd->hqd", weights, values[:, :end])
        mixed.append(sums / count)
    return jnp.concatenate(mixed, axis=1).astype(values.dtype)


def softmax_weights(
    scores: Float[Array, "heads tokens"], position: Int[Array, ""]
) -> Float[Array, "heads tokens"]:
    """The weights of the tokens 0 to `position`; those of later ones are 0."""
    seen = jnp.arange(scores.shape[1])[None] <= position
    return jax.nn.softmax(jnp.where(seen, scores, UNSEEN), axis=-1)


def relu_weights(
    scores: Float[Array, "heads tokens"], position: Int[Array, ""]
) -> Float[Array, "heads tokens"]:
    """The same for attention without softmax: relu(scores) over their number."""
    seen = jnp.arange(scores.shape[1])[None] <= position
    return jnp.where(seen, jax.nn.relu(scores), 0.0) / (position + 1)


def read_cache(
    cache: AttentionCache, query: Float[Array, "heads dim"], weigh: Weigh
) -> Float[Array, "heads dim"]:
    """Attention of one query to the tokens in memory, of which its own is the last.

    Reads the shortest of a few static lengths of the cache that holds them, so a step
    early in a game is cheap.

    Args:
        cache: keys and values.
        query: of the last token in it.
        weigh: `(scores, position of the last token) -> weights`.
    """
    position = cache.length - 1
    max_tokens = cache.values.shape[2]
    stride = max(MIN_READ, -(-max_tokens // READ_STEPS))
    lengths = [*range(stride, max_tokens, stride), max_tokens]

    def reader(length: int):
        def read(cache: AttentionCache, position: Array, query: Array) -> Array:
            keys, values = cache.keys[..., :length], cache.values[..., :length]
            scores = products("hd,hdk->hk", query, keys)
            weights = weigh(scores, position).astype(values.dtype)
            return jnp.einsum("hk,hdk->hd", weights, values)

        return read

    return jax.lax.switch(
        position // stride, [reader(n) for n in lengths], cache, position, query
    )


def peek_cache(
    cache: AttentionCache,
    query: Float[Array, "heads dim"],
    key: Float[Array, "heads dim"],
    value: Float[Array, "heads dim"],
    weigh: Weigh,
) -> Float[Array, "heads dim"]:
    """Attention of one query to the tokens in memory, and to its own token at last.

    What `read_cache` gives once the token is written, but nothing is: under `vmap` over
    tokens alone, all of them multiply the same keys and values.

    Args:
        cache: keys and values of the tokens before.
        query: of the token, as its key and its value.
        key: see `query`.
        value: see `query`.
        weigh: as in `read_cache`.
    """
    position = cache.length
    scores = products("hd,hdk->hk", query, cache.keys)
    own = products("hd,hd->h", query, key)
    here = jnp.arange(scores.shape[1])[None] == position
    weights = weigh(jnp.where(here, own[:, None], scores), position)
    weights = weights.astype(value.dtype)
    others = jnp.einsum("hk,hdk->hd", jnp.where(here, 0, weights), cache.values)
    return others + weights[:, position, None] * value
