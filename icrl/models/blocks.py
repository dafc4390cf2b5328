"""Blocks: what is done again and again to the residual stream."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig
from icrl.models.base import State, layer_norm, linear, residual_std, weight_std
from icrl.registries import JOINS, MIXERS


class MLP(nnx.Module):
    """Two linear maps of each token, with an activation between them."""

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        width, dtype, hidden = config.width, config.dtype, config.hidden_units
        bias, gated = config.bias is not False, config.activation == "gated"
        self.activation = config.activation
        self.expand = linear(
            width,
            (1 + gated) * hidden,
            std=weight_std(config),
            bias=bias,
            dtype=dtype,
            rngs=rngs,
        )
        self.contract = linear(
            hidden, width, std=residual_std(config), bias=bias, dtype=dtype, rngs=rngs
        )

    def __call__(self, x: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """GELU is GPT-2's approximation of it."""
        hidden = self.expand(x)
        if self.activation == "relu":
            hidden = nnx.relu(hidden)
        elif self.activation == "gated":
            gate, hidden = jnp.split(hidden, 2, axis=-1)
            hidden = nnx.gelu(gate, approximate=True) * hidden
        else:
            hidden = nnx.gelu(hidden, approximate=True)
        return self.contract(hidden)


class Block(nnx.Module):
    """A mixer, then an MLP, each joined to the stream that it read.

    Layer norm stands before each of the two ("pre", as in GPT-2), after each join
    ("post", as in the original transformer), or nowhere ("none").

    Args:
        config: sizes.
        mixer: registered name of the mixer.
        rngs: draws the weights.
    """

    def __init__(self, config: TransformerConfig, mixer: str, *, rngs: nnx.Rngs):
        normed = config.norm != "none"
        self.norm, self.rectify = config.norm, config.rectify
        self.norm_mixer = _norm(config, rngs) if normed else None
        self.mixer = MIXERS[mixer](config, rngs=rngs)
        self.join_mixer = JOINS[config.join](config, rngs=rngs)
        self.norm_mlp = _norm(config, rngs) if normed else None
        self.mlp = MLP(config, rngs=rngs)
        self.join_mlp = JOINS[config.join](config, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: State | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], State | None]:
        """Mixes tokens, then features; arguments as `Mixer`'s."""
        mixed, state = self.mixer.mix_stream(
            x,
            self._norm_before_mixer,
            state,
            reset=reset,
            length=length,
            remember=remember,
        )
        x = self._after(self.norm_mixer, self.join_mixer(x, self._rectified(mixed)))
        made = self._rectified(self.mlp(self._before(self.norm_mlp, x)))
        return self._after(self.norm_mlp, self.join_mlp(x, made)), state

    def recall(self, memory: State) -> State:
        """Returns the mixer's state in which one plays on from a memory of training."""
        return self.mixer.recall(memory, self._norm_before_mixer)

    @property
    def beside_mixer(self) -> tuple[nnx.Module, ...]:
        """The parts that map each token by itself."""
        return self.join_mixer, self.mlp, self.join_mlp

    def _norm_before_mixer(self, x: Array) -> Array:
        return self._before(self.norm_mixer, x)

    def _rectified(self, said: Array) -> Array:
        return nnx.relu(said) if self.rectify else said

    def _before(self, norm: nnx.LayerNorm | None, x: Array) -> Array:
        return norm(x) if norm is not None and self.norm == "pre" else x

    def _after(self, norm: nnx.LayerNorm | None, x: Array) -> Array:
        return norm(x) if norm is not None and self.norm == "post" else x


def _norm(config: TransformerConfig, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return layer_norm(config.width, dtype=config.dtype, rngs=rngs)
