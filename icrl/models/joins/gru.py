"""GTrXL's gate of the GRU type."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.base import gate_bias, linear
from icrl.registries import JOINS


@JOINS.register("gru")
class GruGate(nnx.Module):
    """Lets what is said into the stream by a gate that begins nearly closed.

        r = σ(y W_r + x U_r),  z = σ(y W_z + x U_z - b),  c = tanh(y W_g + (r ⊙ x) U_g),
        (1 - z) ⊙ x + z ⊙ c

    with x the stream and y what is said. At first z is about σ(-2) = 0.12.

    Source: Parisotto et al. 2020, arXiv 1910.06764, Section 3.2 (b_g = 2).
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype

        def maps(count: int) -> nnx.Linear:
            return linear(width, count * width, bias=False, dtype=dtype, rngs=rngs)

        self.of_said, self.of_stream, self.of_reset = maps(3), maps(2), maps(1)
        self.bias = gate_bias(config, 2.0)

    def __call__(
        self, stream: Float[Array, "time width"], said: Float[Array, "time width"]
    ) -> Float[Array, "time width"]:
        """The gated stream."""
        reset_y, update_y, candidate_y = jnp.split(self.of_said(said), 3, axis=-1)
        reset_x, update_x = jnp.split(self.of_stream(stream), 2, axis=-1)
        reset = jax.nn.sigmoid(reset_y + reset_x)
        bias = self.bias[...].astype(update_x.dtype)
        update = jax.nn.sigmoid(update_y + update_x - bias[None])
        candidate = jnp.tanh(candidate_y + self.of_reset(reset * stream))
        return (1 - update) * stream + update * candidate
