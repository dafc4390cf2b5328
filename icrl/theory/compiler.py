"""Layers of heads and units become the weights of a transformer.

The result is the module that is trained, with ReLU attention, no norms and no biases:
the same agents, caches and rollouts play it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from icrl.config import TransformerConfig
from icrl.models.blocks import Block, Stack
from icrl.models.mixers.relu_own import ReluOwn
from icrl.models.transformer import Transformer
from icrl.theory.gadgets import Forms, Head, Layer, Repeated, Unit
from icrl.theory.stream import NOTHING, Form, Stream

Dtype: TypeAlias = Literal["float32", "float64"]


class Construction(NamedTuple):
    """A transformer before it has weights.

    Attributes:
        stream: its coordinates.
        embed: what each feature of a token adds to the stream.
        constant: what every token begins with, beside `one`.
        layers: one after another.
        logits: read off the stream behind the last.
        max_tokens: longest context.
        limits: of each feature of a token, which the layers' constants assume.
        places: coordinates whose value is known for every place [max_tokens].
    """

    stream: Stream
    embed: Sequence[Form]
    constant: Form
    layers: Sequence[Layer | Repeated]
    logits: Sequence[Form]
    max_tokens: int
    limits: Sequence[tuple[float, float]]
    places: Mapping[str, np.ndarray] = {}

    @property
    def depth(self) -> int:
        """How many layers a token passes."""
        return sum(
            len(layer.layers) if isinstance(layer, Repeated) else 1
            for layer in self.layers
        )


def build(construction: Construction, dtype: Dtype = "float64") -> Transformer:
    """Returns the transformer of a construction.

    Args:
        construction: what it calculates.
        dtype: of weights and activations.

    Raises:
        ValueError: if float64 is not enabled.
    """
    stream = construction.stream
    width, max_tokens = stream.width, construction.max_tokens
    config = _config(width, dtype, positions="learned")
    model: Any = Transformer(
        config,
        token_size=len(construction.embed),
        num_actions=len(construction.logits),
        max_tokens=max_tokens,
        rngs=nnx.Rngs(0),
    )

    def matrix(forms: Sequence[Form]) -> nnx.Param:
        return nnx.Param(_matrix(forms, width, dtype))

    model.embed.kernel = matrix(construction.embed)
    constant = construction.constant + stream.one
    model.embed.bias = nnx.Param(jnp.asarray(constant.row(width), dtype))
    place = np.arange(1.0, max_tokens + 1)
    known = {"place": place, "square": place**2, **construction.places}
    table = sum(
        np.outer(values, stream.names[name].row(width))
        for name, values in known.items()
    )
    model.positions = nnx.Param(jnp.asarray(table, dtype))
    model.policy.score.kernel = nnx.Param(matrix(construction.logits)[...].T)
    model.blocks = nnx.List(
        [_part(layer, width, dtype) for layer in construction.layers]
    )
    model.config = _config(width, dtype, "learned", len(construction.layers))
    return model


def require_limits(
    construction: Construction, tokens: Float[np.ndarray, "*batch token"]
) -> None:
    """Raises `ValueError` if a feature is outside of what the constants assume.

    Tokens may lack the draw with which those of a construction end.
    """
    low, high = np.array(construction.limits[: tokens.shape[-1]]).T
    outside = (tokens < low) | (tokens > high)
    if outside.any():
        *where, feature = (int(at) for at in np.argwhere(outside)[0])
        raise ValueError(
            f"feature {feature} of a token must lie in [{low[feature]}, "
            f"{high[feature]}], got {tokens[(*where, feature)]}"
        )


def highest_other_score(
    model: Transformer, tokens: Float[Array, "time token"]
) -> Float[Array, ""]:
    """The highest score, in a context, of a token that a fast head leaves out.

    At most 0 where the fast way is exact.
    """
    x, worst = embedded(model, tokens), jnp.asarray(-jnp.inf)
    for block in model.blocks:
        if isinstance(block, Block) and isinstance(block.mixer, ReluOwn):
            worst = jnp.maximum(worst, block.mixer.other_scores(x))
        x, _ = block(x)
    return worst


def embedded(
    model: Transformer, tokens: Float[Array, "time token"]
) -> Float[Array, "time width"]:
    """The stream of a context before any layer."""
    x = model.embed(tokens)
    return x if model.positions is None else x + model.positions[...][: len(tokens)]


def _config(
    width: int, dtype: Dtype, positions: Any = "none", num_layers: int = 1, **sizes: Any
) -> TransformerConfig:
    return TransformerConfig(
        width=width,
        num_layers=num_layers,
        **{"num_heads": 1, "head_dim": 1, "hidden": 1, "mixer": ("relu",), **sizes},
        norm="none",
        activation="relu",
        bias=False,
        positions=positions,
        dtype=dtype,
    )


def _part(layer: Layer | Repeated, width: int, dtype: Dtype) -> Block | Stack:
    if isinstance(layer, Layer):
        return _block(layer, width, dtype)
    first, *others = layer.layers
    if all(other is first for other in others):
        block, stacked = _block(first, width, dtype), False
    else:
        blocks = [_block(one, width, dtype) for one in layer.layers]
        block = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
        stacked = True
    return Stack(block, len(layer.layers), stacked=stacked, one_memory=True)


def _block(layer: Layer, width: int, dtype: Dtype) -> Block:
    """The block of a layer."""
    heads = layer.heads or [Head([NOTHING], [NOTHING], [NOTHING], [NOTHING], own=True)]
    dim = max(max(len(head.query), len(head.value)) for head in heads)
    mixer = "relu_own" if all(head.own for head in heads) else "relu"
    config = _config(
        width,
        dtype,
        num_heads=len(heads),
        head_dim=dim,
        hidden=max(len(layer.units), 1),
        mixer=(mixer,),
    )
    block = nnx.eval_shape(lambda: Block(config, mixer, rngs=nnx.Rngs(0)))

    def filled(parts: Sequence[Forms]) -> list[Form]:
        """Each part's forms, and nothing up to the size of a head."""
        padded = ([*part, *[NOTHING] * (dim - len(part))] for part in parts)
        return [form for part in padded for form in part]

    read = [
        *filled([head.query for head in heads]),
        *filled([head.key for head in heads]),
        *filled([head.value for head in heads]),
    ]
    units = layer.units or [Unit(NOTHING, NOTHING)]
    block.mixer.project.kernel = nnx.Param(_matrix(read, width, dtype).T)
    block.mixer.combine.kernel = nnx.Param(
        _matrix(filled([head.to for head in heads]), width, dtype)
    )
    block.mlp.expand.kernel = nnx.Param(
        _matrix([unit.of for unit in units], width, dtype).T
    )
    block.mlp.contract.kernel = nnx.Param(
        _matrix([unit.to for unit in units], width, dtype)
    )
    return block


def _matrix(
    forms: Sequence[Form], width: int, dtype: Dtype
) -> Float[Array, "forms width"]:
    rows = np.zeros((len(forms), width))
    for row, form in zip(rows, forms, strict=True):
        row[list(form.weights)] = list(form.weights.values())
    return jnp.asarray(rows, dtype)
