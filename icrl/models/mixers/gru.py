"""The gated recurrent unit."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import (
    at_least_float32,
    linear,
    orthogonal_gates,
    residual_std,
    weight_std,
)
from icrl.models.mixer import Recurrence
from icrl.registries import MIXERS


@MIXERS.register("gru")
class Gru(Recurrence):
    """A GRU of the stream's width, and a linear map of its state.

        r, z = σ(x W + h U),   c = tanh(x W_c + r ⊙ (h U_c + b)),   h' = z h + (1 - z) c

    Input weights are drawn by fan-in, recurrent ones orthogonal for each gate. All of
    the input's products stand outside the scan over time.

    Source: Cho et al. 2014, arXiv 1406.1078, with the reset gate behind the recurrent
    product, as in cuDNN and Flax.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        exact = at_least_float32(dtype)
        self.width, self.exact = width, exact.name
        bias = config.bias is not False
        self.project_in = linear(
            width, 3 * width, std=weight_std(config), bias=bias, dtype=dtype, rngs=rngs
        )
        self.recurrent = orthogonal_gates(width, 3, dtype=dtype, rngs=rngs)
        self.candidate_bias = nnx.Param(jnp.zeros(width, exact)) if bias else None
        self.combine = linear(
            width,
            width,
            std=residual_std(config),
            bias=bias,
            dtype=dtype,
            rngs=rngs,
        )

    def init_state(self, max_tokens: int) -> Float[Array, " width"]:
        """Zeros, whatever the room."""
        del max_tokens
        return jnp.zeros(self.width, self.exact)

    def project(self, x: Float[Array, "time width"]) -> Float[Array, "time gates"]:
        """The input's share of both gates and of the candidate."""
        return self.project_in(x).astype(self.exact)

    def update(
        self, state: Float[Array, " width"], inputs: Float[Array, " gates"]
    ) -> tuple[Float[Array, " width"], Float[Array, " width"]]:
        """One step; the state is the output."""
        reset_in, keep_in, candidate_in = jnp.split(inputs, 3)
        reset_h, keep_h, candidate_h = jnp.split(state @ self.recurrent[...], 3)
        if self.candidate_bias is not None:
            candidate_h = candidate_h + self.candidate_bias[...]
        reset = jax.nn.sigmoid(reset_in + reset_h)
        keep = jax.nn.sigmoid(keep_in + keep_h)
        candidate = jnp.tanh(candidate_in + reset * candidate_h)
        state = keep * state + (1 - keep) * candidate
        return state, state

    def finish(self, y: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """A linear map into the stream."""
        return self.combine(y)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Six products of the width squared, and the one into the stream."""
        del tokens, decode
        return 7 * self.width**2
