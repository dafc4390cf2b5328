"""The long short-term memory."""

from typing import NamedTuple

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


class LstmState(NamedTuple):
    """What an LSTM remembers."""

    cell: Float[Array, " width"]
    hidden: Float[Array, " width"]


@MIXERS.register("lstm")
class Lstm(Recurrence):
    """An LSTM of the stream's width, and a linear map of its output.

        i, f, o = σ(x W + h U + b),  g = tanh(x W_g + h U_g + b_g)
        c' = f ⊙ c + i ⊙ g,  h' = o ⊙ tanh(c')

    Input weights are drawn by fan-in, recurrent ones orthogonal for each gate, and the
    forget gate's bias begins at 1 (Jozefowicz et al. 2015). All of the input's products
    stand outside the scan over time.

    Source: Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000).
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        exact = at_least_float32(dtype)
        self.width, self.exact = width, exact.name
        bias = config.bias is not False
        self.project_in = linear(
            width, 4 * width, std=weight_std(config), bias=bias, dtype=dtype, rngs=rngs
        )
        if bias:
            forget = jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0], exact), width)
            self.project_in.bias = nnx.Param(forget)
        self.recurrent = orthogonal_gates(width, 4, dtype=dtype, rngs=rngs)
        self.combine = linear(
            width,
            width,
            std=residual_std(config),
            bias=bias,
            dtype=dtype,
            rngs=rngs,
        )

    def init_state(self, max_tokens: int) -> LstmState:
        """Zeros, whatever the room."""
        del max_tokens
        return LstmState(*(jnp.zeros(self.width, self.exact) for _ in range(2)))

    def project(self, x: Float[Array, "time width"]) -> Float[Array, "time gates"]:
        """The input's share of the three gates and of the candidate."""
        return self.project_in(x).astype(self.exact)

    def update(
        self, state: LstmState, inputs: Float[Array, " gates"]
    ) -> tuple[LstmState, Float[Array, " width"]]:
        """One step; the hidden state is the output."""
        sums = inputs + state.hidden @ self.recurrent[...]
        write, keep, show, candidate = jnp.split(sums, 4)
        cell = jax.nn.sigmoid(keep) * state.cell
        cell = cell + jax.nn.sigmoid(write) * jnp.tanh(candidate)
        hidden = jax.nn.sigmoid(show) * jnp.tanh(cell)
        return LstmState(cell, hidden), hidden

    def finish(self, y: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """A linear map into the stream."""
        return self.combine(y)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Eight products of the width squared, and the one into the stream."""
        del tokens, decode
        return 9 * self.width**2
