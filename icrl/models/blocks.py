"""Blocks: what is done again and again to the residual stream."""

from typing import Any

import jax
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

    def init_state(self, max_tokens: int) -> State:
        """As `Mixer`'s."""
        return self.mixer.init_state(max_tokens)

    def init_memory(self, max_tokens: int) -> State:
        """As `Mixer`'s."""
        return self.mixer.init_memory(max_tokens)

    def recall(self, memory: State) -> State:
        """Returns the mixer's state in which one plays on from a memory of training."""
        return self.mixer.recall(memory, self._norm_before_mixer)

    def state_floats(self, tokens: int) -> int:
        """As `Mixer`'s."""
        return self.mixer.state_floats(tokens)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """As `Mixer`'s, with the parts that map each token by itself."""
        mixed = self.mixer.multiply_adds(tokens, decode=decode)
        beside = (self.join_mixer, self.mlp, self.join_mlp)
        return mixed + sum(map(matrix_sizes, beside))

    def _norm_before_mixer(self, x: Array) -> Array:
        return self._before(self.norm_mixer, x)

    def _rectified(self, said: Array) -> Array:
        return nnx.relu(said) if self.rectify else said

    def _before(self, norm: nnx.LayerNorm | None, x: Array) -> Array:
        return norm(x) if norm is not None and self.norm == "pre" else x

    def _after(self, norm: nnx.LayerNorm | None, x: Array) -> Array:
        return norm(x) if norm is not None and self.norm == "post" else x


class Stack(nnx.Module):
    """Blocks of one shape, one after another, as a scan over depth.

    It compiles in the time of one block, whatever the depth.

    Args:
        blocks: their weights stacked along a leading axis; or one block, for `depth`
            passes through it.
        depth: how many blocks a token passes.
        stacked: whether each pass has weights of its own.
        one_memory: whether all passes remember the same, as mixers do that read only
            what no pass changes: it is then kept once.
    """

    def __init__(self, blocks: Block, depth: int, *, stacked: bool, one_memory: bool):
        self.blocks, self.depth = blocks, depth
        self.stacked, self.one_memory = stacked, one_memory

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: State | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], State | None]:
        """As `Block`; the state has a leading axis of depth, if there are many."""
        how = {"reset": reset, "length": length, "remember": remember}

        def step(x: Array, now: tuple[Any, State]) -> tuple[Array, State]:
            block, memory = now
            return (block or self.blocks)(x, memory, **how)

        blocks = self.blocks if self.stacked else None
        if not self.one_memory:
            return jax.lax.scan(step, x, (blocks, state), self.depth)
        x, after = self._first(x, state, **how)
        others = jax.tree.map(lambda leaf: leaf[1:], blocks)

        def read(x: Array, block: Any) -> tuple[Array, None]:
            return step(x, (block, state))[0], None

        return jax.lax.scan(read, x, others, self.depth - 1)[0], after

    def init_state(self, max_tokens: int) -> State:
        """As `Mixer`'s."""
        return self._of_all(self._first.init_state(max_tokens))

    def init_memory(self, max_tokens: int) -> State:
        """As `Mixer`'s."""
        return self._of_all(self._first.init_memory(max_tokens))

    def recall(self, memory: State) -> State:
        """As `Block`'s."""
        if self.one_memory:
            return self._first.recall(memory)
        one = Block.recall
        return jax.vmap(one, (0 if self.stacked else None, 0))(self.blocks, memory)

    def state_floats(self, tokens: int) -> int:
        """As `Mixer`'s."""
        times = 1 if self.one_memory else self.depth
        return times * self._first.state_floats(tokens)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """As `Block`'s."""
        return self.depth * self._first.multiply_adds(tokens, decode=decode)

    @property
    def _first(self) -> Block:
        if not self.stacked:
            return self.blocks
        return jax.tree.map(lambda leaf: leaf[0], self.blocks)

    def _of_all(self, state: State) -> State:
        if self.one_memory:
            return state
        depth = self.depth
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (depth, *x.shape)), state)


def matrix_sizes(part: nnx.Module) -> int:
    """Multiply-adds of a token in a module's linear maps: the entries of matrices."""
    return sum(leaf.size for leaf in jax.tree.leaves(part) if leaf.ndim == 2)


def _norm(config: TransformerConfig, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return layer_norm(config.width, dtype=config.dtype, rngs=rngs)
