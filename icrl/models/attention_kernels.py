"""Causal attention over a whole context, a block of queries at a time.

A block is compared with the keys up to its own end only: half the work of the full
square. Scores are not stored: the backward pass computes them again, block by block,
which takes less time than to write them to memory and to read them there.

Source: Dao et al. 2022, arXiv 2205.14135, Algorithm 1 and its appendix's gradient; here
a tile has all keys that its queries see.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from icrl.models.mixer import segment_starts

UNSEEN = -1e30  # a score, or what is added to it; -inf would make gradients NaN

Heads = Float[Array, "heads time dim"]
Starts = Int[Array, " time"]  # where each token's sequence begins
# (rows, scores, gradient of the weights) -> weights, gradient of the scores
OfBlock = Callable[[slice, Array, Array], tuple[Array, Array]]


def products(equation: str, left: Array, right: Array) -> Array:
    """An einsum that sums in float32 at least."""
    exact = jnp.promote_types(right.dtype, jnp.float32)
    return jnp.einsum(equation, left, right, preferred_element_type=exact)


def softmax_attention(
    queries: Heads,
    keys: Heads,
    values: Heads,
    block: int,
    reset: Bool[Array, " time"] | None = None,
) -> Heads:
    """softmax(mask(Q Kᵀ)) V, where each token sees itself and those before it.

    Args:
        queries: for softmax, already divided by sqrt(dim).
        keys: what they are compared with.
        values: what is averaged.
        block: queries per block; it changes the speed and not the result.
        reset: true where a token begins a sequence of its own; None: nowhere.
    """
    return _softmax(block, queries, keys, values, *_starts(reset))


def relu_attention(
    queries: Heads,
    keys: Heads,
    values: Heads,
    block: int,
    reset: Bool[Array, " time"] | None = None,
) -> Heads:
    """mask(relu(Q Kᵀ)) V / i for token i = 1, 2, ...; arguments as above.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Definition of masked attention.
    """
    return _relu(block, queries, keys, values, *_starts(reset))


def _starts(reset: Bool[Array, " time"] | None) -> tuple[Starts, ...]:
    return () if reset is None else (jnp.maximum(segment_starts(reset), 0),)


def _differentiable(
    forward: Callable[..., tuple[Heads, tuple[Array, ...]]],
    prepare: Callable[..., tuple[Heads, OfBlock]],
) -> Callable[..., Heads]:
    """Attention with its own gradient.

    Args:
        forward: `(block, queries, keys, values, *starts) -> mixed, what is kept`.
        prepare: as in `_backward`.
    """

    def mix(block: int, *inputs: Array) -> Heads:
        return _one_by_one(functools.partial(forward, block))(*inputs)[0]

    def keep(block: int, *inputs: Array) -> tuple[Heads, Any]:
        mixed, kept = _one_by_one(functools.partial(forward, block))(*inputs)
        return mixed, (inputs, mixed, kept)

    def gradients(block: int, saved: Any, gradient: Heads) -> tuple[Heads | None, ...]:
        (queries, keys, values, *starts), mixed, kept = saved
        found = _one_by_one(functools.partial(_backward, prepare, block))(
            queries, keys, values, mixed, kept, gradient, *starts
        )
        return (*found, *(None for _ in starts))

    attend: Any = jax.custom_vjp(mix, nondiff_argnums=(0,))
    attend.defvjp(keep, gradients)
    return attend


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; under `vmap`, on a processor, a loop that keeps scores in cache."""
    looped = jax.custom_batching.custom_vmap(function)

    @looped.def_vmap
    def rule(size: int, is_batched: Any, *args: Any) -> tuple[Any, Any]:
        del size
        leaves, form = jax.tree.flatten(args)
        batched = jax.tree.leaves(is_batched)
        varying = [leaf for leaf, b in zip(leaves, batched, strict=True) if b]

        def call(one: Callable[..., Any], varying: list[Array]) -> Any:
            rest = iter(varying)
            chosen = zip(leaves, batched, strict=True)
            return one(*form.unflatten(next(rest) if b else x for x, b in chosen))

        if jax.default_backend() == "cpu":
            found = jax.lax.map(functools.partial(call, looped), varying)
        else:
            found = jax.vmap(functools.partial(call, function))(varying)
        return found, jax.tree.map(lambda _: True, found)

    return looped


def _blocks(time: int, block: int) -> Iterator[slice]:
    for start in range(0, time, block):
        yield slice(start, min(start + block, time))


def _scores(
    queries: Heads, keys: Heads, rows: slice, starts: tuple[Starts, ...]
) -> Float[Array, "heads rows tokens"]:
    """Scores of a block, about `UNSEEN` where the query does not see the key."""
    tokens = jnp.arange(rows.stop)[None]
    seen = tokens <= jnp.arange(rows.start, rows.stop)[:, None]
    for start in starts:
        seen &= tokens >= start[rows, None]
    scores = products("hqd,hkd->hqk", queries[:, rows], keys[:, : rows.stop])
    return scores + jnp.where(seen, 0.0, UNSEEN)[None]


def _forward_softmax(
    block: int, queries: Heads, keys: Heads, values: Heads, *starts: Starts
) -> tuple[Heads, tuple[Array, ...]]:
    """Keeps the logarithm of each query's sum of exponentials."""
    # a column of ones also sums the weights; dividing the sums afterwards saves a pass
    padded = jnp.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    mixed, log_sums = [], []
    for rows in _blocks(queries.shape[1], block):
        scores = _scores(queries, keys, rows, starts)
        largest = scores.max(axis=-1, keepdims=True)
        weights = jnp.exp(scores - largest).astype(values.dtype)
        sums = products("hqk,hkd->hqd", weights, padded[:, : rows.stop])
        mixed.append(sums[..., :-1] / sums[..., -1:])
        log_sums.append(largest + jnp.log(sums[..., -1:]))
    whole = jnp.concatenate(mixed, axis=1).astype(values.dtype)
    return whole, (jnp.concatenate(log_sums, axis=1),)


def _of_softmax(
    mixed: Heads, kept: tuple[Array, ...], gradient: Heads, starts: tuple[Starts, ...]
) -> tuple[Heads, OfBlock]:
    del starts
    (log_sums,) = kept
    along = (gradient.astype(log_sums.dtype) * mixed).sum(axis=-1, keepdims=True)

    def of_block(rows: slice, scores: Array, of_weights: Array) -> tuple[Array, Array]:
        weights = jnp.exp(scores - log_sums[:, rows])
        return weights, weights * (of_weights - along[:, rows])

    return gradient, of_block


def _forward_relu(
    block: int, queries: Heads, keys: Heads, values: Heads, *starts: Starts
) -> tuple[Heads, tuple[Array, ...]]:
    mixed = []
    for rows in _blocks(queries.shape[1], block):
        scores = _scores(queries, keys, rows, starts)
        weights = jax.nn.relu(scores).astype(values.dtype)
        mixed.append(products("hqk,hkd->hqd", weights, values[:, : rows.stop]))
    sums = jnp.concatenate(mixed, axis=1)
    return (sums / _numbers(sums.shape[1], starts)).astype(values.dtype), ()


def _numbers(time: int, starts: tuple[Starts, ...]) -> Int[Array, "1 time 1"]:
    """How many tokens each query sees."""
    return (jnp.arange(1, time + 1) - sum(starts))[None, :, None]


def _of_relu(
    mixed: Heads, kept: tuple[Array, ...], gradient: Heads, starts: tuple[Starts, ...]
) -> tuple[Heads, OfBlock]:
    del mixed, kept

    def of_block(rows: slice, scores: Array, of_weights: Array) -> tuple[Array, Array]:
        del rows
        return jax.nn.relu(scores), jnp.where(scores > 0, of_weights, 0.0)

    numbers = _numbers(gradient.shape[1], starts)
    return (gradient / numbers).astype(gradient.dtype), of_block


def _backward(
    prepare: Callable[..., tuple[Heads, OfBlock]],
    block: int,
    queries: Heads,
    keys: Heads,
    values: Heads,
    mixed: Heads,
    kept: tuple[Array, ...],
    gradient: Heads,
    *starts: Starts,
) -> tuple[Heads, Heads, Heads]:
    """Gradients of queries, keys and values, from that of the result.

    Args:
        prepare: `(mixed, kept, gradient, starts)` -> the gradient of the sums of
            values, and what is done with a block.
        block: queries per block.
        queries: as in `softmax_attention`.
        keys: likewise.
        values: likewise.
        mixed: the result.
        kept: what the forward pass kept beside it.
        gradient: of the result.
        starts: of the tokens' sequences.
    """
    gradient, of_block = prepare(mixed, kept, gradient, starts)
    time, dtype = queries.shape[1], values.dtype
    of_queries, of_keys, of_values = [], [], []
    for rows in _blocks(time, block):
        scores = _scores(queries, keys, rows, starts)
        of_weights = products("hqd,hkd->hqk", gradient[:, rows], values[:, : rows.stop])
        weights, of_scores = of_block(rows, scores, of_weights)
        weights, of_scores = weights.astype(dtype), of_scores.astype(dtype)
        of_queries.append(products("hqk,hkd->hqd", of_scores, keys[:, : rows.stop]))
        # with tokens last these products are three times as fast as with them first
        rest = ((0, 0), (0, 0), (0, time - rows.stop))
        part = products("hqk,hqd->hdk", of_scores, queries[:, rows])
        of_keys.append(jnp.pad(part, rest))
        part = products("hqk,hqd->hdk", weights, gradient[:, rows])
        of_values.append(jnp.pad(part, rest))
    return (
        jnp.concatenate(of_queries, axis=1).astype(dtype),
        _sum(of_keys).swapaxes(1, 2).astype(dtype),
        _sum(of_values).swapaxes(1, 2).astype(dtype),
    )


def _sum(parts: list[Array]) -> Array:
    return functools.reduce(jnp.add, parts)


_softmax = _differentiable(_forward_softmax, _of_softmax)
_relu = _differentiable(_forward_relu, _of_relu)
