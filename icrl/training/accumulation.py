"""Gradients of a large batch, a few examples at a time."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

ModelT = TypeVar("ModelT")


def value_and_grad_accumulated(
    loss: Callable[[ModelT, Any], Float[Array, ""]],
    model: ModelT,
    batch: Any,
    micro_batch: int | None = None,
) -> tuple[Float[Array, ""], ModelT]:
    """Value and gradient of `loss(model, batch)`, summed over micro-batches.

    It is `jax.value_and_grad(loss)(model, batch)` to the precision of a sum of
    floats, for a loss that is a sum over examples. Saves memory, and time where
    activations then stay in the processor's cache.

    Args:
        loss: sum over the examples that it is given.
        model: a pytree of parameters.
        batch: a pytree whose leaves have one leading axis of examples.
        micro_batch: examples per backward pass; None: the whole batch at once.

    Raises:
        ValueError: if `micro_batch` is not positive or does not divide the batch.
    """
    size = jax.tree.leaves(batch)[0].shape[0]
    part = size if micro_batch is None else micro_batch
    if part < 1 or size % part:
        raise ValueError(
            f"micro_batch must divide the batch of {size} examples, got {part}"
        )
    if part == size:
        return jax.value_and_grad(loss)(model, batch)

    def add(total: Any, examples: Any) -> tuple[Any, None]:
        return jax.tree.map(
            jnp.add, total, jax.value_and_grad(loss)(model, examples)
        ), None

    parts = jax.tree.map(
        lambda leaf: leaf.reshape(size // part, part, *leaf.shape[1:]), batch
    )
    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, model))
    total, _ = jax.lax.scan(add, zero, parts)
    return total
