"""Addition, the join of residual networks."""

from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.registries import JOINS


@JOINS.register("add")
class Add(nnx.Module):
    """The stream plus what a mixer or an MLP says."""

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        del config, rngs

    def __call__(
        self, stream: Float[Array, "time width"], said: Float[Array, "time width"]
    ) -> Float[Array, "time width"]:
        """Their sum."""
        return stream + said
