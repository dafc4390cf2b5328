"""GTrXL's gate of the stream."""

import jax
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import linear
from icrl.registries import JOINS


@JOINS.register("input")
class InputGate(nnx.Module):
    """Lets the stream pass by a gate: σ(x W) ⊙ x + y.

    With x the stream and y what is said. At first half of the stream passes.

    Source: Parisotto et al. 2020, arXiv 1910.06764, Section 3.2 ("input").
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width = config.width
        self.gate = linear(width, width, bias=False, dtype=config.dtype, rngs=rngs)

    def __call__(
        self, stream: Float[Array, "time width"], said: Float[Array, "time width"]
    ) -> Float[Array, "time width"]:
        """The gated stream."""
        return jax.nn.sigmoid(self.gate(stream)) * stream + said
