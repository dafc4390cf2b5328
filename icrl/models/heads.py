"""Heads: what is read off the residual stream."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from icrl.models.base import at_least_float32, linear


class LinearHead(nnx.Module):
    """Logits as linear maps of the stream, a row of weights for each action."""

    def __init__(self, width: int, num_actions: int, *, dtype: str, rngs: nnx.Rngs):
        exact = at_least_float32(dtype).name
        self.score = linear(width, num_actions, dtype=exact, rngs=rngs)

    def __call__(
        self, x: Float[Array, "*time width"], tokens: Float[Array, "*time token"]
    ) -> Float[Array, "*time actions"]:
        """Logits of every token; what it shows is not read again."""
        del tokens
        return self.score(x)


class FeatureHead(nnx.Module):
    """Logits query · MLP(features of the arm), with one MLP for all arms.

    Linear bandits score every arm by the same function of its features. A linear head
    learns that function once for each arm, through a stream that holds all arms'
    features at once; this one learns it once.
    """

    def __init__(
        self,
        width: int,
        arm_features: tuple[int, int] | None,
        *,
        dtype: str,
        rngs: nnx.Rngs,
    ):
        if arm_features is None:
            raise ValueError(
                "head 'features' needs tokens that show the arms' features, got none"
            )
        self.arms, self.dim = arm_features
        exact = at_least_float32(dtype).name
        self.query = linear(width, width, dtype=exact, rngs=rngs)
        self.expand = linear(self.dim, 2 * width, dtype=exact, rngs=rngs)
        self.contract = linear(2 * width, width, dtype=exact, rngs=rngs)

    def __call__(
        self, x: Float[Array, "*time width"], tokens: Float[Array, "*time token"]
    ) -> Float[Array, "*time actions"]:
        """Logits of every token that shows the arms; of others they mean nothing."""
        shown = tokens[..., : self.arms * self.dim]
        features = shown.reshape(*shown.shape[:-1], self.arms, self.dim)
        keys = self.contract(nnx.gelu(self.expand(features)))
        query = self.query(x)
        return jnp.einsum("...w,...aw->...a", query, keys) / query.shape[-1] ** 0.5


class ValueHead(nnx.Module):
    """One number, linear in the stream: what is expected to be earned from here."""

    def __init__(self, width: int, *, dtype: str, rngs: nnx.Rngs):
        exact = at_least_float32(dtype).name
        self.score = linear(width, 1, dtype=exact, rngs=rngs)

    def __call__(self, x: Float[Array, "*time width"]) -> Float[Array, "*time"]:
        """The value at every token, in units of rewards as they are learnt from."""
        return self.score(x)[..., 0]
