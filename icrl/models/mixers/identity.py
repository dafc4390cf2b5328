"""No mixing at all: a control that sees one token."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig
from icrl.models.mixer import Mixer
from icrl.registries import MIXERS


@MIXERS.register("identity")
class Identity(Mixer):
    """Adds nothing to the stream, so that a model sees the last token alone.

    What it reaches is the floor of "this task needs memory".

    Source: Yu et al. 2022, arXiv 2111.11418 (MetaFormer), where it is a control.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        del config, rngs

    def init_state(self, max_tokens: int) -> tuple[()]:
        """Nothing is remembered."""
        del max_tokens
        return ()

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: Any = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], tuple[()] | None]:
        """Zeros."""
        del state, reset, length
        return jnp.zeros_like(x), () if remember else None

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """None."""
        del tokens, decode
        return 0
