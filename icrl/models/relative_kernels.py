"""Attention by content and by distance, to a band of tokens before each.

    score(i, j) = content_i · key_j + by_distance_i · distance_key_{i-j}

Many tokens at once are computed a block of queries at a time, each block beside the
keys that any of its queries sees; one token after another reads a ring of keys.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from icrl.models.attention_kernels import UNSEEN, Heads, products
from icrl.models.mixer import segment_starts

Head = Float[Array, "heads dim"]


class Queries(NamedTuple):
    """What a token asks, over √dim; `heads [time] dim` each."""

    content: Float[Array, "heads *time dim"]
    by_distance: Float[Array, "heads *time dim"]


class Past(NamedTuple):
    """What stands before a segment: the newest token last."""

    keys: Float[Array, "heads memory dim"]
    values: Float[Array, "heads memory dim"]
    length: Int[Array, ""]  # how many of the last ones are tokens; others are empty


class Ring(NamedTuple):
    """Keys and values of the last tokens, each in the slot of its number."""

    # tokens stand last: a step multiplies along them, several times as fast
    keys: Float[Array, "heads dim slots"]
    values: Float[Array, "heads dim slots"]
    distance_keys: Float[Array, "distances heads dim"]  # of 0 to slots; never written
    written: Int[Array, ""]  # the next token goes to this slot, modulo their number
    length: Int[Array, ""]  # tokens that are seen: since the last reset, at most slots


def band_attention(
    queries: Queries,
    keys: Heads,
    values: Heads,
    distance_keys: Float[Array, "distances heads dim"],
    *,
    block: int,
    past: Past | None = None,
    reset: Bool[Array, " time"] | None = None,
) -> Heads:
    """Returns what tokens of a segment mix of themselves and of those before them.

    Args:
        queries: of the segment.
        keys: of the segment.
        values: of the segment.
        distance_keys: of the distances 0 to the longest at which a token is seen.
        block: queries per block; it changes the speed and not the result.
        past: as many as the longest distance; None: nothing stands before.
        reset: true where a token begins a sequence of its own; None: nowhere.
    """
    time, longest = keys.shape[1], distance_keys.shape[0] - 1
    num_blocks = -(-time // block)
    size = min(time, block)  # queries of a block
    behind = 0 if past is None else longest
    before = longest if num_blocks > 1 else behind  # columns before a block's queries
    if past is not None:
        keys = jnp.concatenate([past.keys.astype(keys.dtype), keys], axis=1)
        values = jnp.concatenate([past.values.astype(values.dtype), values], axis=1)
    pad = ((0, 0), (before - behind, num_blocks * size - time), (0, 0))
    keys, values = jnp.pad(keys, pad), jnp.pad(values, pad)
    first = jnp.full(time, before - (0 if past is None else past.length))
    if reset is not None:
        starts = segment_starts(reset)
        first = jnp.where(starts < 0, first, before + starts)

    def of_block(now: tuple[Array, ...]) -> Heads:
        offset, content, by_distance, first = now
        cut = jax.lax.dynamic_slice_in_dim
        near = products("hqd,nhd->hqn", by_distance, distance_keys[: before + size])
        scores = products("hqd,hkd->hqk", content, cut(keys, offset, before + size, 1))
        scores = scores + _by_column(near, before)
        column = jnp.arange(before + size)[None]
        distance = before + jnp.arange(size)[:, None] - column
        seen = (distance >= 0) & (distance <= longest)
        seen &= offset + column >= first[:, None]
        weights = jax.nn.softmax(jnp.where(seen[None], scores, UNSEEN), axis=-1)
        those = cut(values, offset, before + size, 1)
        mixed = products("hqk,hkd->hqd", weights.astype(values.dtype), those)
        return mixed.astype(values.dtype)

    if num_blocks == 1:
        return of_block((jnp.zeros((), jnp.int32), *queries, first))
    rest = num_blocks * size - time
    first = jnp.pad(first, (0, rest), mode="edge").reshape(num_blocks, size)
    offsets = size * jnp.arange(num_blocks)
    content, by_distance = (_blocks(x, num_blocks, rest) for x in queries)
    # scores are computed again for the gradient: those of all blocks take much memory
    parts = jax.lax.map(
        jax.checkpoint(of_block), (offsets, content, by_distance, first)
    )
    return parts.swapaxes(0, 1).reshape(keys.shape[0], -1, keys.shape[2])[:, :time]


def read_ring(
    ring: Ring, queries: Queries, key: Head, value: Head
) -> Float[Array, "heads dim"]:
    """Returns what one token mixes of itself and of those in the ring."""
    slots = ring.keys.shape[2]
    near = products("hd,nhd->hn", queries.by_distance, ring.distance_keys)
    farthest_first = near[:, :0:-1]
    scores = products("hd,hdk->hk", queries.content, ring.keys)
    scores = scores + jnp.roll(farthest_first, ring.written, axis=1)
    distance = (ring.written - 1 - jnp.arange(slots)) % slots + 1
    scores = jnp.where((distance <= ring.length)[None], scores, UNSEEN)
    own = products("hd,hd->h", queries.content, key) + near[:, 0]
    scores = jnp.concatenate([scores, own[:, None]], axis=1)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    others = jnp.einsum("hk,hdk->hd", weights[:, :-1], ring.values)
    return others + weights[:, -1:] * value


def write_ring(ring: Ring, key: Head, value: Head) -> Ring:
    """Returns the ring with one token more, in place of the oldest."""
    slots = ring.keys.shape[2]
    update = jax.lax.dynamic_update_slice_in_dim
    slot = ring.written % slots
    return ring._replace(
        keys=update(ring.keys, key[..., None].astype(ring.keys.dtype), slot, 2),
        values=update(ring.values, value[..., None].astype(ring.values.dtype), slot, 2),
        written=ring.written + 1,
        length=jnp.minimum(ring.length + 1, slots),
    )


def past_of(ring: Ring) -> Past:
    """Returns the ring's tokens in their order."""
    keys, values = (
        jnp.roll(x, -ring.written, axis=2).swapaxes(1, 2)
        for x in (ring.keys, ring.values)
    )
    return Past(keys, values, ring.length)


def ring_of(past: Past, distance_keys: Float[Array, "distances heads dim"]) -> Ring:
    """Returns a ring of tokens in their order."""
    return Ring(
        past.keys.swapaxes(1, 2),
        past.values.swapaxes(1, 2),
        distance_keys,
        written=jnp.zeros((), jnp.int32),
        length=past.length.astype(jnp.int32),
    )


def _by_column(
    near: Float[Array, "heads queries distances"], before: int
) -> Float[Array, "heads queries columns"]:
    """Scores by distance, each moved to the column of the key at that distance.

    The row of query i ends at column `before + i`. Where rows are one longer than the
    result's, every row begins one column later than the row above it.

    Source: the relative shift of Dai et al. 2019, Appendix B, here of a band.
    """
    heads, size, number = near.shape
    columns = before + size
    pad = ((0, 0), (0, 0), (0, columns + 1 - number))
    flat = jnp.pad(near[..., ::-1], pad).reshape(heads, -1)
    later = before + 1 - number  # the column at which row 0 begins
    flat = jnp.pad(flat, ((0, 0), (later, 0))) if later > 0 else flat[:, -later:]
    return flat[:, : size * columns].reshape(heads, size, columns)


def _blocks(
    x: Heads, num_blocks: int, rest: int
) -> Float[Array, "blocks heads block dim"]:
    heads, _, dim = x.shape
    x = jnp.pad(x, ((0, 0), (0, rest), (0, 0)))
    return x.reshape(heads, num_blocks, -1, dim).swapaxes(0, 1)
