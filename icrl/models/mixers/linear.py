"""Linear attention: a state of fixed size that sums products of keys and values."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig
from icrl.models.base import at_least_float32, linear, residual_std, weight_std
from icrl.models.mixer import Mixer, segment_starts
from icrl.registries import MIXERS

LEAST_SUM = 1e-6  # added to the normaliser

Heads = Float[Array, "heads time dim"]


class LinearState(NamedTuple):
    """Sums over the tokens so far, in float32 at least."""

    products: Float[Array, "heads dim dim"]  # φ(k)ᵀ v, keys as rows
    keys: Float[Array, "heads dim"]  # φ(k)


@MIXERS.register("linear")
class Linear(Mixer):
    """Attention with weights φ(q)·φ(k) over their sum, φ(x) = elu(x) + 1.

        S_t = S_{t-1} + φ(k_t)ᵀ v_t,  z_t = z_{t-1} + φ(k_t),
        y_t = φ(q_t) S_t / (φ(q_t)·z_t + 1e-6)

    Inside a chunk of `query_block` tokens it is a masked square as in attention; from
    chunk to chunk S and z are carried.

    Source: Katharopoulos et al. 2020, arXiv 2006.16236, Section 3.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        inner = config.num_heads * config.head_size
        self.num_heads, self.head_dim = config.num_heads, config.head_size
        self.chunk, self.exact = config.query_block, at_least_float32(dtype).name
        bias = config.bias is not False
        self.project = linear(
            width, 3 * inner, std=weight_std(config), bias=bias, dtype=dtype, rngs=rngs
        )
        self.combine = linear(
            inner, width, std=residual_std(config), bias=bias, dtype=dtype, rngs=rngs
        )

    def init_state(self, max_tokens: int) -> LinearState:
        """Sums of nothing, whatever the room."""
        del max_tokens
        heads, dim = self.num_heads, self.head_dim
        return LinearState(
            products=jnp.zeros((heads, dim, dim), self.exact),
            keys=jnp.zeros((heads, dim), self.exact),
        )

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: LinearState | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], LinearState | None]:
        """As `Mixer`, chunk by chunk."""
        time = x.shape[0]
        projected = self.project(x).astype(self.exact)
        projected = projected.reshape(time, 3, self.num_heads, -1)
        queries, keys, values = projected.transpose(1, 2, 0, 3)
        queries, keys = feature_map(queries), feature_map(keys)
        first = self.init_state(remember) if state is None else state
        mixed = self._mix(queries, keys, values, first, reset)
        after = _remember(first, keys, values, reset, length) if remember else None
        mixed = mixed.swapaxes(0, 1).reshape(time, -1)
        return self.combine(mixed).astype(x.dtype), after

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Projections, the state's products, and the square inside a chunk."""
        dim, inner = self.head_dim, self.num_heads * self.head_dim
        maps = 4 * self.project.in_features * inner
        if decode:
            return maps + 3 * inner * dim
        chunk = min(self.chunk, tokens)
        carried = 2 * inner * dim if tokens > chunk else 0
        return maps + 2 * chunk * inner + carried

    def _mix(
        self,
        queries: Heads,
        keys: Heads,
        values: Heads,
        first: LinearState,
        reset: Bool[Array, " time"] | None,
    ) -> Heads:
        time = queries.shape[1]
        chunk = min(self.chunk, time)
        begins = jnp.zeros(time, bool) if reset is None else reset

        def mix(state: LinearState, now: tuple[Array, ...]):
            queries, keys, values, begins = now
            starts = segment_starts(begins)
            at = jnp.arange(chunk)
            seen = (at[None] <= at[:, None]) & (at[None] >= starts[:, None])
            goes_on = (starts < 0)[None, :, None]  # this token sees the chunks before
            weights = jnp.where(seen[None], queries @ keys.swapaxes(1, 2), 0)
            sums = weights @ values + jnp.where(goes_on, queries @ state.products, 0)
            before = jnp.where(goes_on, queries @ state.keys[..., None], 0)
            total = weights.sum(-1, keepdims=True) + before
            after = _remember(state, keys, values, begins, None)
            return after, sums / (total + LEAST_SUM)

        if time == chunk:
            return mix(first, (queries, keys, values, begins))[1]
        behind = -time % chunk  # zeros behind the end: they add nothing

        def chunks(heads: Heads) -> Float[Array, "chunks heads chunk dim"]:
            padded = jnp.pad(heads, ((0, 0), (0, behind), (0, 0)))
            split = padded.reshape(heads.shape[0], -1, chunk, heads.shape[2])
            return split.swapaxes(0, 1)

        now = (*map(chunks, (queries, keys, values)),)
        flags = jnp.pad(begins, (0, behind)).reshape(-1, chunk)
        _, mixed = jax.lax.scan(mix, first, (*now, flags))
        return mixed.swapaxes(0, 1).reshape(queries.shape[0], -1, queries.shape[2])[
            :, :time
        ]


def feature_map(x: Array) -> Array:
    """elu(x) + 1 without the cancellation: exp(x) below 0, positive everywhere."""
    return jnp.where(x >= 0, x + 1, jnp.exp(jnp.minimum(x, 0)))


def _remember(
    state: LinearState,
    keys: Heads,
    values: Heads,
    reset: Bool[Array, " time"] | None,
    length: Int[Array, ""] | None,
) -> LinearState:
    """The sums after the first `length` tokens, since the last reset among them."""
    time = jnp.arange(keys.shape[1])
    counted = jnp.ones(keys.shape[1], bool) if length is None else time < length
    if reset is not None:
        start = segment_starts(reset & counted)[-1]
        counted &= time >= start
        state = jax.tree.map(lambda s: jnp.where(start < 0, s, 0), state)
    keys = jnp.where(counted[None, :, None], keys, 0)
    values = jnp.where(counted[None, :, None], values, 0)
    return LinearState(
        products=state.products + keys.swapaxes(1, 2) @ values,
        keys=state.keys + keys.sum(1),
    )
