"""GTrXL's gate of the sigmoid-tanh type."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import gate_bias, linear
from icrl.registries import JOINS


@JOINS.register("sigtanh")
class SigTanhGate(nnx.Module):
    """Lets tanh of what is said into the stream: x + σ(y W - b) ⊙ tanh(y U).

    With x the stream and y what is said.

    Source: Parisotto et al. 2020, arXiv 1910.06764, Section 3.2 ("SigTanh", b_g = 1).
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width = config.width
        self.of_said = linear(
            width, 2 * width, bias=False, dtype=config.dtype, rngs=rngs
        )
        self.bias = gate_bias(config, 1.0)

    def __call__(
        self, stream: Float[Array, "time width"], said: Float[Array, "time width"]
    ) -> Float[Array, "time width"]:
        """The gated stream."""
        gate, candidate = jnp.split(self.of_said(said), 2, axis=-1)
        opened = jax.nn.sigmoid(gate - self.bias[...].astype(gate.dtype)[None])
        return stream + opened * jnp.tanh(candidate)
