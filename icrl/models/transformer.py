"""A causal transformer over tokens of real features: embed, blocks, norm, head.

Source: the pre-norm block of GPT-2 (Radford et al. 2019); the embedding, the head and
the default sizes of DPT (Lee et al. 2023, https://arxiv.org/abs/2306.14892); post-norm
blocks with ReLU attention of Lin, Bai and Mei 2023, https://arxiv.org/abs/2310.08566.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from icrl.config import TransformerConfig
from icrl.models.attention import CausalAttention
from icrl.models.base import (
    Cache,
    TokenMixer,
    layer_norm,
    linear,
    residual_std,
    weight_std,
)


class TransformerCache(NamedTuple):
    """What a transformer remembers of a context."""

    position: Int[Array, ""]  # tokens read so far
    mixers: tuple[Cache, ...]  # one per block


class Block(nnx.Module):
    """Token mixer, then MLP, each added to its input.

    Layer norm stands before each of the two ("pre", as in GPT-2), or after each sum
    ("post", as in the original transformer).
    """

    def __init__(
        self,
        config: TransformerConfig,
        mixer: Callable[..., TokenMixer],
        *,
        rngs: nnx.Rngs,
    ):
        width, dtype = config.width, config.dtype
        hidden = config.mlp_ratio * width
        self.post_norm = config.norm == "post"
        self.activation = config.activation
        self.norm_mixer = layer_norm(width, rngs=rngs)
        self.mixer = mixer(config, rngs=rngs)
        self.norm_mlp = layer_norm(width, rngs=rngs)
        gated = config.activation == "gated"
        self.expand = linear(
            width, (1 + gated) * hidden, std=weight_std(config), dtype=dtype, rngs=rngs
        )
        self.contract = linear(
            hidden, width, std=residual_std(config), dtype=dtype, rngs=rngs
        )

    def __call__(self, x: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """Mixes tokens, then features."""
        return self._finish(x, self.mixer.parallel(self._before(self.norm_mixer, x)))

    def step(
        self, cache: Cache, position: Int[Array, ""], x: Float[Array, " width"]
    ) -> tuple[Cache, Float[Array, " width"]]:
        """The same for the next token alone."""
        shown = self._before(self.norm_mixer, x)
        cache, mixed = self.mixer.step(cache, position, shown)
        return cache, self._finish(x, mixed)

    def prefill(
        self, x: Float[Array, "time width"], length: Int[Array, ""], max_tokens: int
    ) -> tuple[Cache, Float[Array, "time width"]]:
        """The same for all tokens, with the cache after `length` of them."""
        shown = self._before(self.norm_mixer, x)
        cache, mixed = self.mixer.prefill(shown, length, max_tokens)
        return cache, self._finish(x, mixed)

    def peek(
        self, cache: Cache, position: Int[Array, ""], x: Float[Array, " width"]
    ) -> Float[Array, " width"]:
        """The same for a token that is not remembered."""
        shown = self._before(self.norm_mixer, x)
        return self._finish(x, self.mixer.peek(cache, position, shown))

    def _finish(self, x: Array, mixed: Array) -> Array:
        """What follows the mixer. GELU is GPT-2's approximation of it."""
        x = self._after(self.norm_mixer, x + mixed)
        hidden = self.expand(self._before(self.norm_mlp, x))
        if self.activation == "relu":
            hidden = nnx.relu(hidden)
        elif self.activation == "gated":
            gate, hidden = jnp.split(hidden, 2, axis=-1)
            hidden = nnx.gelu(gate, approximate=True) * hidden
        else:
            hidden = nnx.gelu(hidden, approximate=True)
        return self._after(self.norm_mlp, x + self.contract(hidden))

    def _before(self, norm: nnx.LayerNorm, x: Array) -> Array:
        return x if self.post_norm else norm(x)

    def _after(self, norm: nnx.LayerNorm, x: Array) -> Array:
        return norm(x) if self.post_norm else x


class LinearHead(nnx.Module):
    """Logits as linear maps of the stream, a row of weights for each action."""

    def __init__(self, width: int, num_actions: int, *, rngs: nnx.Rngs):
        self.score = linear(width, num_actions, dtype="float32", rngs=rngs)

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
        self, width: int, arm_features: tuple[int, int] | None, *, rngs: nnx.Rngs
    ):
        if arm_features is None:
            raise ValueError(
                "head 'features' needs tokens that show the arms' features, got none"
            )
        self.arms, self.dim = arm_features
        self.query = linear(width, width, dtype="float32", rngs=rngs)
        self.expand = linear(self.dim, 2 * width, dtype="float32", rngs=rngs)
        self.contract = linear(2 * width, width, dtype="float32", rngs=rngs)

    def __call__(
        self, x: Float[Array, "*time width"], tokens: Float[Array, "*time token"]
    ) -> Float[Array, "*time actions"]:
        """Logits of every token that shows the arms; of others they mean nothing."""
        shown = tokens[..., : self.arms * self.dim]
        features = shown.reshape(*shown.shape[:-1], self.arms, self.dim)
        keys = self.contract(nnx.gelu(self.expand(features)))
        query = self.query(x)
        return jnp.einsum("...w,...aw->...a", query, keys) / query.shape[-1] ** 0.5


class Transformer(nnx.Module):
    """Logits of the action after every prefix of the context.

    Args:
        config: sizes.
        token_size: features of one token.
        num_actions: logits at each position.
        max_tokens: longest context.
        arm_features: (arms, dim) of the arms' features that stand first in every token
            that decides, which the head "features" reads; None where there are none.
        mixer: makes the token mixer of a block: `mixer(config, rngs=rngs)`.
        rngs: its `params` stream draws the weights.

    Raises:
        ValueError: if the head needs features that the tokens do not show.
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        token_size: int,
        num_actions: int,
        max_tokens: int,
        arm_features: tuple[int, int] | None = None,
        mixer: Callable[..., TokenMixer] = CausalAttention,
        rngs: nnx.Rngs,
    ):
        self.max_tokens = max_tokens
        self.embed = linear(token_size, config.width, dtype=config.dtype, rngs=rngs)
        self.positions = (
            nnx.Param(0.02 * rngs.params.normal((max_tokens, config.width)))
            if config.positions == "learned"
            else None
        )
        self.blocks = nnx.List(
            [Block(config, mixer, rngs=rngs) for _ in range(config.num_layers)]
        )
        # after the last block, which has normed its output itself if norms are "post"
        pre_norm = config.norm == "pre"
        self.norm = layer_norm(config.width, rngs=rngs) if pre_norm else None
        if config.head == "features":
            self.head = FeatureHead(config.width, arm_features, rngs=rngs)
        else:
            self.head = LinearHead(config.width, num_actions, rngs=rngs)

    def __call__(
        self, tokens: Float[Array, "time token"]
    ) -> Float[Array, "time actions"]:
        """Logits after every prefix of the context, in parallel.

        Raises:
            ValueError: if there are more than `max_tokens` tokens.
        """
        x = self._embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self._read_out(x, tokens)

    def init_cache(self) -> TransformerCache:
        """Returns the memory of an empty context."""
        mixers = tuple(b.mixer.init_cache(self.max_tokens) for b in self.blocks)
        return TransformerCache(position=jnp.zeros((), jnp.int32), mixers=mixers)

    def step(
        self, cache: TransformerCache, token: Float[Array, " token"]
    ) -> tuple[TransformerCache, Float[Array, " actions"]]:
        """Appends one token: the new memory, and the logits after it.

        After `max_tokens` tokens the memory is full: a further one would overwrite the
        last, unnoticed. Whoever plays checks the length of the game beforehand.
        """
        position = cache.position
        x = self._embed_next(position, token)
        mixers = []
        for block, memory in zip(self.blocks, cache.mixers, strict=True):
            memory, x = block.step(memory, position, x)
            mixers.append(memory)
        cache = TransformerCache(position=position + 1, mixers=tuple(mixers))
        return cache, self._read_out(x, token)

    def prefill(
        self, tokens: Float[Array, "time token"], length: Int[Array, ""] | None = None
    ) -> tuple[TransformerCache, Float[Array, "time actions"]]:
        """Reads a context in parallel: the memory after it, and all its logits.

        With a `length` the memory is that after so many of the tokens: contexts of
        different lengths are read side by side.

        Raises:
            ValueError: if there are more than `max_tokens` tokens.
        """
        x = self._embed(tokens)
        length = jnp.asarray(tokens.shape[0] if length is None else length, jnp.int32)
        mixers = []
        for block in self.blocks:
            memory, x = block.prefill(x, length, self.max_tokens)
            mixers.append(memory)
        cache = TransformerCache(position=length, mixers=tuple(mixers))
        return cache, self._read_out(x, tokens)

    def peek(
        self, cache: TransformerCache, token: Float[Array, " token"]
    ) -> Float[Array, " actions"]:
        """The logits after one more token, which the memory does not keep."""
        x = self._embed_next(cache.position, token)
        for block, memory in zip(self.blocks, cache.mixers, strict=True):
            x = block.peek(memory, cache.position, x)
        return self._read_out(x, token)

    def _read_out(
        self, x: Float[Array, "*time width"], tokens: Float[Array, "*time token"]
    ) -> Float[Array, "*time actions"]:
        return self.head(x if self.norm is None else self.norm(x), tokens)

    def _embed_next(
        self, position: Int[Array, ""], token: Float[Array, " token"]
    ) -> Float[Array, " width"]:
        x = self.embed(token)
        if self.positions is None:
            return x
        row = jax.lax.dynamic_index_in_dim(
            self.positions[...], position, keepdims=False
        )
        return x + row.astype(x.dtype)

    def _embed(self, tokens: Float[Array, "time token"]) -> Float[Array, "time width"]:
        time = tokens.shape[0]
        if time > self.max_tokens:
            raise ValueError(
                f"context of {time} tokens exceeds the model's {self.max_tokens}"
            )
        x = self.embed(tokens)
        if self.positions is None:
            return x
        return x + self.positions[:time].astype(x.dtype)
