"""What a sequence model offers, and the layers that all of them are made of.

Axis names: `time` tokens of context, `token` features of one token, `width` of the
residual stream, `heads`, `dim` of one head, `actions`. Everything takes one sequence;
batch with `jax.vmap`.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig

State = Any  # a pytree; each model and each mixer defines its own


@runtime_checkable
class SequenceModel(Protocol):
    """Maps a sequence of tokens to logits of actions, at once or token by token.

    The four ways agree to numerical precision, and logits at one time do not depend
    on later tokens.
    """

    max_tokens: int  # longest context

    def __call__(
        self,
        tokens: Float[Array, "time token"],
        *,
        reset: Bool[Array, " time"] | None = None,
    ) -> Float[Array, "time actions"]:
        """Logits after every prefix of the context, in parallel.

        Where `reset` is true, a token begins a context of its own.
        """
        ...

    def init_cache(self) -> State:
        """Returns the memory of an empty context."""
        ...

    def step(
        self,
        cache: State,
        token: Float[Array, " token"],
        *,
        reset: Bool[Array, ""] | None = None,
    ) -> tuple[State, Float[Array, " actions"]]:
        """Appends one token; returns the new memory and the logits after the token.

        `vmap` whole rollouts, with `init_cache` inside: then all sequences stand at
        the same position, and a cache write is a slice update and not a scatter.
        """
        ...

    def prefill(
        self, tokens: Float[Array, "time token"], length: Int[Array, ""] | None = None
    ) -> tuple[State, Float[Array, "time actions"]]:
        """Reads a context in parallel: the memory after it, and all its logits.

        With a `length` the memory is that after so many of the tokens: contexts of
        different lengths are read side by side.
        """
        ...

    def peek(
        self, cache: State, token: Float[Array, " token"]
    ) -> Float[Array, " actions"]:
        """The logits of `step`, for a token that is not remembered.

        `vmap` it over tokens, and many queries share the memory of one context.
        """
        ...


@runtime_checkable
class ModelConfig(Protocol):
    """A frozen dataclass that makes models, registered under its class's name."""

    @property
    def plays_longer(self) -> bool:
        """Whether a model may read contexts longer than those it was trained with."""
        ...

    def make(
        self,
        *,
        token_size: int,
        num_actions: int,
        max_tokens: int,
        arm_features: tuple[int, int] | None = None,
        rngs: nnx.Rngs,
    ) -> SequenceModel:
        """A model with fresh weights; arguments as `Transformer`'s."""
        ...


def at_least_float32(dtype: str) -> jnp.dtype:
    """What sums, norms and states are kept in: float32, or the activations' float64."""
    return jnp.promote_types(dtype, jnp.float32)


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
        dtype: of the activations; weights are float32, or float64 where these are.
        rngs: its `params` stream draws the weights.
    """
    layer = nnx.Linear(
        size_in,
        size_out,
        use_bias=bias,
        dtype=jnp.dtype(dtype),
        param_dtype=at_least_float32(dtype),
        rngs=rngs,
    )
    if std is not None:
        drawn = rngs.params.normal((size_in, size_out), at_least_float32(dtype))
        layer.kernel = nnx.Param(std * drawn)
    return layer


def orthogonal_gates(
    width: int, number: int, *, dtype: str, rngs: nnx.Rngs
) -> nnx.Param:
    """Makes the recurrent weights [width, number * width] of gates side by side.

    Each gate's are an orthogonal matrix.
    """
    orthogonal, exact = jax.nn.initializers.orthogonal(), at_least_float32(dtype)
    gates = [orthogonal(rngs.params(), (width, width), exact) for _ in range(number)]
    return nnx.Param(jnp.concatenate(gates, axis=1))


def layer_norm(width: int, *, dtype: str = "float32", rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Makes a layer norm that computes and answers in float32 at least."""
    exact = at_least_float32(dtype)
    return nnx.LayerNorm(width, epsilon=1e-5, dtype=exact, param_dtype=exact, rngs=rngs)


def gate_bias(config: TransformerConfig, default: float) -> nnx.Param:
    """Makes the bias of a join's gate: the config's, or else that of its source."""
    bias = default if config.join_bias is None else config.join_bias
    return nnx.Param(jnp.full(config.width, bias, at_least_float32(config.dtype)))


def weight_std(config: TransformerConfig) -> float | None:
    """Deviation of a block's weights: 0.02 if `init` is "gpt2", else by fan-in."""
    return 0.02 if config.init == "gpt2" else None


def residual_std(config: TransformerConfig) -> float | None:
    """The same for projections into the residual stream, 1/sqrt(2 depth) as large.

    Only in GPT-2; there every block adds to the stream twice.
    """
    return 0.02 / (2 * config.depth) ** 0.5 if config.init == "gpt2" else None
