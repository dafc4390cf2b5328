"""Attention of one query to keys and values in memory."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from icrl.models.attention_kernels import UNSEEN, products

READ_STEPS = 8  # lengths of cache among which a step chooses what it reads
MIN_READ = 16  # tokens; shorter reads save nothing

Weigh = Callable[[Array, Array], Array]  # (scores, position) -> weights


class AttentionCache(NamedTuple):
    """Keys and values of the tokens read so far; later columns are masked."""

    # tokens stand last: a step multiplies along them, several times as fast
    keys: Float[Array, "heads dim max_tokens"]
    values: Float[Array, "heads dim max_tokens"]
    length: Int[Array, ""]  # tokens in memory


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
    tokens alone, all of them multiply the same keys and values. The memory must have
    room for one token more; it is not checked.

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
