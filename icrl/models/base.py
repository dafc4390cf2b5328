"""What a sequence model and a token mixer offer.

Axis names: `time` tokens of context, `token` features of one token, `width` of the
residual stream, `heads`, `dim` of one head, `actions`. Everything takes one sequence;
batch with `jax.vmap`.
"""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from icrl.config import TransformerConfig

Cache = Any  # a pytree; each model and each mixer defines its own


@runtime_checkable
class SequenceModel(Protocol):
    """Maps a sequence of tokens to logits of actions, at once or token by token.

    The four ways agree to numerical precision, and logits at one time do not depend
    on later tokens.
    """

    max_tokens: int  # longest context

    def __call__(
        self, tokens: Float[Array, "time token"]
    ) -> Float[Array, "time actions"]:
        """Logits after every prefix of the context, in parallel."""
        ...

    def init_cache(self) -> Cache:
        """Returns the memory of an empty context."""
        ...

    def step(
        self, cache: Cache, token: Float[Array, " token"]
    ) -> tuple[Cache, Float[Array, " actions"]]:
        """Appends one token; returns the new memory and the logits after the token.

        `vmap` whole rollouts, with `init_cache` inside: then all sequences stand at
        the same position, and a cache write is a slice update and not a scatter.
        """
        ...

    def prefill(
        self, tokens: Float[Array, "time token"], length: Int[Array, ""] | None = None
    ) -> tuple[Cache, Float[Array, "time actions"]]:
        """Reads a context in parallel: the memory after it, and all its logits.

        With a `length` the memory is that after so many of the tokens: contexts of
        different lengths are read side by side.
        """
        ...

    def peek(
        self, cache: Cache, token: Float[Array, " token"]
    ) -> Float[Array, " actions"]:
        """The logits of `step`, for a token that is not remembered.

        `vmap` it over tokens, and many questions share the memory of one context.
        """
        ...


@runtime_checkable
class TokenMixer(Protocol):
    """The part of a block that looks back in time. A new backbone is one of these.

    Made by `mixer(config, rngs=rngs)`; see `Transformer`.
    """

    def parallel(self, x: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """Mixes all tokens, each with those before it."""
        ...

    def init_cache(self, max_tokens: int) -> Cache:
        """Returns the memory of no tokens, with room for `max_tokens`."""
        ...

    def step(
        self, cache: Cache, position: Int[Array, ""], x: Float[Array, " width"]
    ) -> tuple[Cache, Float[Array, " width"]]:
        """Mixes one token with those in memory; `position` counts from 0."""
        ...

    def prefill(
        self, x: Float[Array, "time width"], length: Int[Array, ""], max_tokens: int
    ) -> tuple[Cache, Float[Array, "time width"]]:
        """As `parallel`; returns also the memory after the first `length` tokens."""
        ...

    def peek(
        self, cache: Cache, position: Int[Array, ""], x: Float[Array, " width"]
    ) -> Float[Array, " width"]:
        """Mixes one token with those in memory, as `step` does, and forgets it."""
        ...


def linear(
    size_in: int,
    size_out: int,
    *,
    std: float | None = None,
    bias: bool = True,
    dtype: str,
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """Makes a linear map, with biases that start at zero.

    Args:
        size_in: features in.
        size_out: features out.
        std: of the normal weights; None: 1/sqrt(size_in), truncated at two of it.
        bias: whether there are any.
        dtype: of the activations; weights are float32 always.
        rngs: its `params` stream draws the weights.
    """
    layer = nnx.Linear(
        size_in, size_out, use_bias=bias, dtype=jnp.dtype(dtype), rngs=rngs
    )
    if std is not None:
        layer.kernel = nnx.Param(std * rngs.params.normal((size_in, size_out)))
    return layer


def layer_norm(width: int, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Makes a layer norm that computes and answers in float32."""
    return nnx.LayerNorm(width, epsilon=1e-5, dtype=jnp.float32, rngs=rngs)


def weight_std(config: TransformerConfig) -> float | None:
    """Deviation of a block's weights: 0.02 if `init` is "gpt2", else by fan-in."""
    return 0.02 if config.init == "gpt2" else None


def residual_std(config: TransformerConfig) -> float | None:
    """The same for projections into the residual stream, 1/sqrt(2 layers) as large.

    Only in GPT-2; there every block adds to the stream twice.
    """
    return 0.02 / (2 * config.num_layers) ** 0.5 if config.init == "gpt2" else None
