"""Causal pooling: the mean of the tokens so far."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import at_least_float32
from icrl.models.mixer import Recurrence
from icrl.registries import MIXERS


class MeanState(NamedTuple):
    """What has been seen."""

    total: Float[Array, " width"]
    tokens: Float[Array, ""]


@MIXERS.register("mean")
class Mean(Recurrence):
    """The mean of the tokens so far, less this one. It has no weights.

    A control that says what needs no mixing by content: y_t = mean(x_1..x_t) - x_t.

    Source: PoolFormer, Yu et al. 2022, arXiv 2111.11418, Section 3, made causal.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        del rngs
        self.width, self.dtype = config.width, config.dtype

    def init_state(self, max_tokens: int) -> MeanState:
        """Sums of nothing."""
        del max_tokens
        exact = at_least_float32(self.dtype)
        return MeanState(jnp.zeros(self.width, exact), jnp.zeros((), exact))

    def update(
        self, state: MeanState, inputs: Float[Array, " width"]
    ) -> tuple[MeanState, Float[Array, " width"]]:
        """Adds one token."""
        after = MeanState(state.total + inputs, state.tokens + 1)
        return after, after.total / after.tokens - inputs

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """One for each feature."""
        del tokens, decode
        return self.width
