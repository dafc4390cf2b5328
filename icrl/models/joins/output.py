"""GTrXL's gate of what is said."""

import jax
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import gate_bias, linear
from icrl.registries import JOINS


@JOINS.register("output")
class OutputGate(nnx.Module):
    """Lets what is said into the stream by a gate: x + σ(x W - b) ⊙ y.

    With x the stream and y what is said.

    Source: Parisotto et al. 2020, arXiv 1910.06764, Section 3.2 ("output", b_g = 1).
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width = config.width
        self.gate = linear(width, width, bias=False, dtype=config.dtype, rngs=rngs)
        self.bias = gate_bias(config, 1.0)

    def __call__(
        self, stream: Float[Array, "time width"], said: Float[Array, "time width"]
    ) -> Float[Array, "time width"]:
        """The gated stream."""
        gate = self.gate(stream)
        return (
            stream
            + jax.nn.sigmoid(gate - self.bias[...].astype(gate.dtype)[None]) * said
        )
