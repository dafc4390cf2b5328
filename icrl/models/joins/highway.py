"""The gate of highway networks."""

import jax
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import gate_bias, linear
from icrl.registries import JOINS


@JOINS.register("highway")
class HighwayGate(nnx.Module):
    """Weighs the stream against what is said: g ⊙ x + (1 - g) ⊙ y, g = σ(x W + b).

    With x the stream and y what is said.

    Source: Parisotto et al. 2020, arXiv 1910.06764, Section 3.2 ("highway", b_g = 1),
    after Srivastava et al. 2015, arXiv 1505.00387.
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
        keep = jax.nn.sigmoid(gate + self.bias[...].astype(gate.dtype)[None])
        return keep * stream + (1 - keep) * said
