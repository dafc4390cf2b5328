"""What stands in the stream of a transformer layer by layer, and what it would say."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import require
from icrl.models.blocks import Stack
from icrl.models.transformer import Transformer
from icrl.theory.compiler import embedded


def few_at_once() -> int:
    """How many tasks play a descent of equal layers side by side.

    Each layer reads all that a task remembers, a megabyte and a half at 200 pulls: on a
    processor two tasks take five times as long as one. Where every layer has weights of
    its own (Chebyshev's), these are read from memory, and more tasks share them.
    """
    return jax.device_count() if jax.default_backend() == "cpu" else 500


def at_every_depth(
    model: Transformer,
    tokens: Float[Array, "time token"],
    read: Callable[[Float[Array, "time width"]], Any],
    *,
    tail: int,
    every: int = 1,
) -> tuple[list[int], Any]:
    """What is read of the stream if the last layers follow earlier ones.

    Args:
        model: a transformer without loops. With a tail, one whose last layers only read
            what those before have found, as those of LinUCB do.
        tokens: a context.
        read: takes the stream after the last layer; arrays or a pytree of them.
        tail: how many layers are the last ones; 0: the stream itself is read.
        every: which numbers of layers are tried.

    Returns:
        How many layers a token passes, all in all, and what was read [depths, ...].

    Raises:
        ValueError: if a block stands at several depths.
    """
    once = model.config.depths == tuple(range(len(model.blocks)))
    require(once, "a transformer must have no loops", model.config.depths)
    last = len(model.blocks) - tail
    parts, ending = model.blocks[:last], model.blocks[last:]

    def finish(x: Array) -> Any:
        for block in ending:
            x, _ = block(x)
        return read(x)

    x = embedded(model, tokens)
    depth, depths = 0, [tail]
    found = [jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], finish(x))]
    for part in parts:
        one = part if isinstance(part, Stack) else None
        x, seen = _stack(one, x, finish, every) if one else _block(part, x, finish)
        inside = range(depth + 1, depth + (one.depth if one else 1) + 1)
        depth = inside[-1]
        depths += [at + tail for at in inside[every - 1 if one else 0 :: every]]
        found.append(seen)
    return depths, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)


def _block(block: Any, x: Array, finish: Callable[[Array], Any]) -> tuple[Array, Any]:
    x, _ = block(x)
    return x, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], finish(x))


def _stack(
    stack: Stack, x: Array, finish: Callable[[Array], Any], every: int
) -> tuple[Array, Any]:
    """The layers of a stack; those behind the last full `every` are not read."""
    groups, left = divmod(stack.depth, every)

    def grouped(leaf: Array) -> Array:
        return leaf[: groups * every].reshape(groups, every, *leaf.shape[1:])

    blocks = others = None
    if stack.stacked:
        blocks = jax.tree.map(grouped, stack.blocks)
        others = jax.tree.map(lambda leaf: leaf[groups * every :], stack.blocks)

    def layer(x: Array, block: Any) -> tuple[Array, None]:
        return (stack.blocks if block is None else block)(x)[0], None

    def group(x: Array, blocks: Any) -> tuple[Array, Any]:
        x, _ = jax.lax.scan(layer, x, blocks, every)
        return x, finish(x)

    x, found = jax.lax.scan(group, x, blocks, groups)
    x, _ = jax.lax.scan(layer, x, others, left)
    return x, found
