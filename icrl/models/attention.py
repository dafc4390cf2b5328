"""Attention as a mixer: what softmax and ReLU attention share."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig
from icrl.models.attention_cache import AttentionCache, Weigh, peek_cache, read_cache
from icrl.models.attention_kernels import Heads, products
from icrl.models.base import linear, residual_std, weight_std
from icrl.models.mixer import Mixer, segment_starts


class Attention(Mixer):
    """Multi-head attention to this token and those before it.

    Args:
        config: sizes.
        attend: `(queries, keys, values, block, reset) -> mixed`, within a segment and
            from nothing before it.
        weigh: `(scores, position) -> weights` of the tokens 0 to `position`.
        bias: whether queries, keys and values have biases.
        combined: whether a linear map combines the heads' outputs.
        rngs: draws the weights.
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        attend: Callable[..., Heads],
        weigh: Weigh,
        bias: bool,
        combined: bool = True,
        rngs: nnx.Rngs,
    ):
        width, inner = config.width, config.num_heads * config.head_size
        self.attend, self.weigh = attend, weigh
        self.num_heads, self.head_dim = config.num_heads, config.head_size
        self.query_block, self.dtype = config.query_block, config.dtype
        self.project = linear(
            width,
            3 * inner,
            std=weight_std(config),
            bias=bias,
            dtype=config.dtype,
            rngs=rngs,
        )
        self.combine = (
            linear(
                inner,
                width,
                std=residual_std(config),
                bias=config.bias is not False,
                dtype=config.dtype,
                rngs=rngs,
            )
            if combined
            else None
        )

    def scale(self, queries: Heads) -> Heads:
        """The queries, as scores need them."""
        return queries

    def init_state(self, max_tokens: int) -> AttentionCache:
        """Returns the memory of no tokens, with room for `max_tokens`."""
        heads, dim = self.num_heads, self.head_dim
        return AttentionCache(
            keys=jnp.zeros((heads, dim, max_tokens), self.dtype),
            values=jnp.zeros((heads, dim, max_tokens), self.dtype),
            length=jnp.zeros((), jnp.int32),
        )

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: AttentionCache | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], AttentionCache | None]:
        """As `Mixer`: one token, a query and a whole context each have a fast way.

        After `max_tokens` tokens the memory is full: a further one would overwrite the
        last, unnoticed. Callers check the number of steps beforehand.
        """
        queries, keys, values = self._project(x)
        after = None
        if state is None:
            mixed = self.attend(queries, keys, values, self.query_block, reset)
            if remember:
                empty = self.init_state(remember)
                after = _append(empty, keys, values, reset, length, fresh=True)
        elif x.shape[0] == 1 and reset is None and length is None:
            mixed, after = self._one(queries, keys, values, state, remember)
        else:
            mixed = self._go_on(queries, keys, values, state, reset)
            if remember:
                after = _append(state, keys, values, reset, length)
        heads, time, dim = mixed.shape
        mixed = mixed.swapaxes(0, 1).reshape(time, heads * dim)
        return mixed if self.combine is None else self.combine(mixed), after

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Projections, and scores and sums over the tokens that are seen."""
        width, inner = self.project.in_features, self.num_heads * self.head_dim
        maps = (3 + (self.combine is not None)) * width * inner
        return maps + inner * (2 * tokens if decode else tokens + 1)

    def _project(self, x: Float[Array, "time width"]) -> tuple[Heads, Heads, Heads]:
        shape = x.shape[0], 3, self.num_heads, self.head_dim
        projected = self.project(x).reshape(shape)
        queries, keys, values = projected.transpose(1, 2, 0, 3)
        return self.scale(queries), keys, values

    def _one(
        self,
        queries: Heads,
        keys: Heads,
        values: Heads,
        state: AttentionCache,
        remember: int,
    ) -> tuple[Heads, AttentionCache | None]:
        """One token: written and then read, or not written at all."""
        query, key, value = queries[:, 0], keys[:, 0], values[:, 0]
        if not remember:
            mixed = peek_cache(state, query, key, value, self.weigh)
            return mixed[:, None], None
        update = jax.lax.dynamic_update_slice_in_dim
        state = AttentionCache(
            keys=update(state.keys, keys.swapaxes(1, 2), state.length, axis=2),
            values=update(state.values, values.swapaxes(1, 2), state.length, axis=2),
            length=state.length + 1,
        )
        return read_cache(state, query, self.weigh)[:, None], state

    def _go_on(
        self,
        queries: Heads,
        keys: Heads,
        values: Heads,
        state: AttentionCache,
        reset: Bool[Array, " time"] | None,
    ) -> Heads:
        """Many tokens after those in memory: each sees the memory up to its own place.

        The memory is rolled to each query's first visible token, so that `weigh` sees
        the same as it does for one token after another.
        """
        whole = _append(state, keys, values, None, None, room=keys.shape[1])
        time = jnp.arange(keys.shape[1])
        starts = jnp.full_like(time, -1) if reset is None else segment_starts(reset)
        first = jnp.where(starts < 0, 0, state.length + starts)
        scores = products("hqd,hdk->qhk", queries, whole.keys)

        def weights(scores: Array, first: Array, last: Array) -> Array:
            visible = jnp.roll(scores, -first, axis=-1)
            return jnp.roll(self.weigh(visible, last - first), first, axis=-1)

        weight = jax.vmap(weights)(scores, first, state.length + time)
        mixed = products("qhk,hdk->hqd", weight.astype(values.dtype), whole.values)
        return mixed.astype(values.dtype)


def _append(
    state: AttentionCache,
    keys: Heads,
    values: Heads,
    reset: Bool[Array, " time"] | None,
    length: Int[Array, ""] | None,
    *,
    fresh: bool = False,
    room: int = 0,
) -> AttentionCache:
    """The memory after the first `length` tokens of a segment.

    Args:
        state: the memory before.
        keys: of the segment.
        values: of the segment.
        reset: what stands before the last reset that counts is forgotten.
        length: tokens that are remembered; None: all.
        fresh: whether the memory before is known to be empty.
        room: more tokens than the memory before has room for.
    """
    time, capacity = keys.shape[1], state.values.shape[2] + room
    keys, values = keys.swapaxes(1, 2), values.swapaxes(1, 2)
    if length is not None:  # what is not remembered leaves no trace
        read = jnp.arange(time) < length
        keys = jnp.where(read[None, None], keys, 0)
        values = jnp.where(read[None, None], values, 0)
    total = state.length + (time if length is None else length)
    if fresh and reset is None:
        pad = (0, capacity - time)
        return AttentionCache(
            keys=jnp.pad(keys, ((0, 0), (0, 0), pad)),
            values=jnp.pad(values, ((0, 0), (0, 0), pad)),
            length=total.astype(jnp.int32),
        )
    update = jax.lax.dynamic_update_slice_in_dim
    behind = ((0, 0), (0, 0), (0, room + time))
    all_keys = jnp.pad(state.keys, behind)
    all_keys = update(all_keys, keys, state.length, axis=2)
    all_values = jnp.pad(state.values, behind)
    all_values = update(all_values, values, state.length, axis=2)
    first = jnp.zeros((), jnp.int32)
    if reset is not None:
        counted = reset if length is None else reset & (jnp.arange(time) < length)
        start = segment_starts(counted)[-1]
        first = jnp.where(start < 0, 0, state.length + start)
        # a slice that begins later must not end behind the array, or it is moved back
        behind = ((0, 0), (0, 0), (0, capacity))
        all_keys, all_values = jnp.pad(all_keys, behind), jnp.pad(all_values, behind)
    cut = jax.lax.dynamic_slice_in_dim
    return AttentionCache(
        keys=cut(all_keys, first, capacity, axis=2),
        values=cut(all_values, first, capacity, axis=2),
        length=(total - first).astype(jnp.int32),
    )
