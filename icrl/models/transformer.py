"""A causal sequence model over tokens of real features: embed, blocks, norm, heads.

What looks back in time is the config's choice of mixers; with attention it is a
transformer.

Source: the pre-norm block of GPT-2 (Radford et al. 2019); the embedding, the head and
the default sizes of DPT (Lee et al. 2023, https://arxiv.org/abs/2306.14892); post-norm
blocks with ReLU attention of Lin, Bai and Mei 2023, https://arxiv.org/abs/2310.08566.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.config import TransformerConfig
from icrl.models.base import State, at_least_float32, layer_norm, linear
from icrl.models.blocks import Block, matrix_sizes
from icrl.models.heads import FeatureHead, LinearHead, ValueHead
from icrl.models.mixer import segment_starts
from icrl.registries import MODELS

MODELS.add("TransformerConfig", TransformerConfig)


class TransformerState(NamedTuple):
    """What is remembered of a context."""

    position: Int[Array, ""]  # tokens read so far, since the last reset
    mixers: tuple[State, ...]  # one for each depth


class Transformer(nnx.Module):
    """Logits of the action after every prefix of the context.

    Args:
        config: sizes and kinds.
        token_size: features of one token.
        num_actions: logits at each position.
        max_tokens: longest context.
        arm_features: (arms, dim) of the arms' features that stand first in every token
            that decides, which the head "features" reads; None where there are none.
        rngs: its `params` stream draws the weights.

    Raises:
        ValueError: if the head needs features that the tokens do not show, or float64
            is not enabled.
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        token_size: int,
        num_actions: int,
        max_tokens: int,
        arm_features: tuple[int, int] | None = None,
        rngs: nnx.Rngs,
    ):
        width, dtype = config.width, config.dtype
        if dtype == "float64" and not jax.config.read("jax_enable_x64"):
            raise ValueError("dtype 'float64' needs JAX_ENABLE_X64=1, got 0")
        self.max_tokens = max_tokens
        self.config = config
        self.embed = linear(token_size, width, dtype=dtype, rngs=rngs)
        exact = at_least_float32(dtype)
        self.positions = (
            nnx.Param(0.02 * rngs.params.normal((max_tokens, width), exact))
            if config.positions == "learned"
            else None
        )
        self.blocks = nnx.List(
            [Block(config, mixer, rngs=rngs) for mixer in config.mixers]
        )
        # after the last block, which has normed its output itself if norms are "post"
        self.norm = (
            layer_norm(width, dtype=dtype, rngs=rngs) if config.norm == "pre" else None
        )
        if config.head == "features":
            self.policy = FeatureHead(width, arm_features, dtype=dtype, rngs=rngs)
        else:
            self.policy = LinearHead(width, num_actions, dtype=dtype, rngs=rngs)
        self.value = (
            ValueHead(width, dtype=dtype, rngs=rngs) if config.value_head else None
        )

    def features(
        self,
        tokens: Float[Array, "time token"],
        state: TransformerState | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: bool = False,
    ) -> tuple[Float[Array, "time width"], TransformerState | None]:
        """The stream that heads read, and the memory after a segment.

        Args:
            tokens: the segment.
            state: memory of what came before; None: nothing did.
            reset: true where a token begins a context of its own; None: nowhere.
            length: tokens after which the memory is returned; None: all of them.
            remember: whether a memory is returned.

        Raises:
            ValueError: if there are more than `max_tokens` tokens.
        """
        x, position = self._embed(tokens, state, reset, length)
        room = self.max_tokens if remember else 0
        schedule, begun, after = self.config.depths, {}, []
        for depth, block in enumerate(schedule):
            again = depth > 0 and block <= schedule[depth - 1]
            if self.config.inject and again and block in begun:
                x = x + begun[block]
            begun.setdefault(block, x)
            memory = None if state is None else state.mixers[depth]
            x, memory = self.blocks[block](
                x, memory, reset=reset, length=length, remember=room
            )
            after.append(memory)
        x = x if self.norm is None else self.norm(x)
        return x, TransformerState(position, tuple(after)) if remember else None

    def __call__(
        self,
        tokens: Float[Array, "time token"],
        *,
        reset: Bool[Array, " time"] | None = None,
    ) -> Float[Array, "time actions"]:
        """Logits after every prefix of the context, in parallel.

        Raises:
            ValueError: if there are more than `max_tokens` tokens.
        """
        x, _ = self.features(tokens, reset=reset)
        return self.policy(x, tokens)

    def init_cache(self) -> TransformerState:
        """Returns the memory of an empty context."""
        blocks = [self.blocks[block] for block in self.config.depths]
        mixers = tuple(block.init_state(self.max_tokens) for block in blocks)
        return TransformerState(position=jnp.zeros((), jnp.int32), mixers=mixers)

    def init_memory(self) -> TransformerState:
        """Returns the memory of no tokens that segments of a training hand on.

        `features` takes it and returns the next; `recall` makes of it a cache.
        """
        blocks = [self.blocks[block] for block in self.config.depths]
        mixers = tuple(block.init_memory(self.max_tokens) for block in blocks)
        return TransformerState(position=jnp.zeros((), jnp.int32), mixers=mixers)

    def recall(self, memory: TransformerState) -> TransformerState:
        """Returns the cache in which one plays on from a memory of training.

        It belongs to these weights, as every cache does: after an update of the weights
        it is made anew.
        """
        blocks = [self.blocks[block] for block in self.config.depths]
        mixers = (b.recall(m) for b, m in zip(blocks, memory.mixers, strict=True))
        return memory._replace(mixers=tuple(mixers))

    def step(
        self,
        cache: TransformerState,
        token: Float[Array, " token"],
        *,
        reset: Bool[Array, ""] | None = None,
    ) -> tuple[TransformerState, Float[Array, " actions"]]:
        """Appends one token: the new memory, and the logits after it.

        After `max_tokens` tokens the memory is full: a further one would overwrite the
        last, unnoticed. Callers check the number of steps beforehand.
        """
        begins = None if reset is None else reset[None]
        x, after = self.features(token[None], cache, reset=begins, remember=True)
        assert after is not None  # for type checkers
        return after, self.policy(x, token[None])[0]

    def prefill(
        self, tokens: Float[Array, "time token"], length: Int[Array, ""] | None = None
    ) -> tuple[TransformerState, Float[Array, "time actions"]]:
        """Reads a context in parallel: the memory after it, and all its logits.

        With a `length` the memory is that after so many of the tokens: contexts of
        different lengths are read side by side.

        Raises:
            ValueError: if there are more than `max_tokens` tokens.
        """
        x, after = self.features(tokens, length=length, remember=True)
        assert after is not None  # for type checkers
        return after, self.policy(x, tokens)

    def peek(
        self, cache: TransformerState, token: Float[Array, " token"]
    ) -> Float[Array, " actions"]:
        """The logits after one more token, which the memory does not keep."""
        x, _ = self.features(token[None], cache)
        return self.policy(x, token[None])[0]

    def state_floats(self, tokens: int) -> int:
        """Numbers in the memory of `tokens` tokens."""
        blocks = [self.blocks[block] for block in self.config.depths]
        return sum(block.state_floats(tokens) for block in blocks)

    def multiply_adds(self, tokens: int, *, decode: bool = False) -> int | float:
        """Multiply-adds of one token forward, by formula; a training step takes thrice.

        Args:
            tokens: of the context.
            decode: of its last token, one at a time; else the mean over a context that
                is read in parallel.
        """
        depths = [self.blocks[block] for block in self.config.depths]
        blocks = sum(block.multiply_adds(tokens, decode=decode) for block in depths)
        return blocks + matrix_sizes(self.embed) + matrix_sizes(self.policy)

    def _embed(
        self,
        tokens: Float[Array, "time token"],
        state: TransformerState | None,
        reset: Bool[Array, " time"] | None,
        length: Int[Array, ""] | None,
    ) -> tuple[Float[Array, "time width"], Int[Array, ""]]:
        """The embedded tokens, and how many the memory holds after them."""
        time = tokens.shape[0]
        if time > self.max_tokens:
            raise ValueError(
                f"context of {time} tokens exceeds the model's {self.max_tokens}"
            )
        x = self.embed(tokens)
        before = jnp.zeros((), jnp.int32) if state is None else state.position
        after = before + (time if length is None else length)
        at = None
        if reset is not None:
            starts = segment_starts(reset)
            at = jnp.arange(time) + jnp.where(starts < 0, before, -starts)
            last = (time if length is None else length) - jnp.ones((), jnp.int32)
            after = jnp.where(last < 0, before, at[last] + 1)
        if self.positions is None:
            return x, after.astype(jnp.int32)
        if at is not None:
            rows = self.positions[...][at]
        elif state is None:
            rows = self.positions[:time]
        else:
            rows = jax.lax.dynamic_slice_in_dim(self.positions[...], before, time)
        return x + rows.astype(x.dtype), after.astype(jnp.int32)
