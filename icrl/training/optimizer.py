"""The optimiser of a training config."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from icrl.config import TrainingConfig

# Muon's five steps towards an orthogonal matrix; as a list they compile as one loop
ORTHOGONALIZED = ((3.4445, -4.7750, 2.0315),) * 5


def make_optimizer(
    config: TrainingConfig, stage_ends: Sequence[int] = ()
) -> optax.GradientTransformation:
    """AdamW or Muon with warm-up, a schedule and gradient clipping.

    Muon makes the update of each matrix orthogonal, so that all of its directions learn
    at one speed; vectors are left to AdamW (with Nesterov momentum), at the same rate.

    Source: Loshchilov and Hutter 2019, arXiv 1711.05101 (AdamW); Jordan et al. 2024,
    "Muon: an optimizer for hidden layers in neural networks" (theirs leaves embedding
    and head to AdamW, too; here they are matrices like others, as in optax).
    """
    peak, end = config.learning_rate, config.learning_rate * config.final_fraction
    decay_steps = max(1, config.num_steps - config.warmup_steps)
    after = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, end, decay_steps),
        "cosine": optax.cosine_decay_schedule(peak, decay_steps, config.final_fraction),
    }[config.schedule]
    warmup = optax.linear_schedule(0.0, peak, max(1, config.warmup_steps))
    schedule = optax.join_schedules([warmup, after], [config.warmup_steps])
    if len(stage_ends) > 1:
        schedule = _along_tokens(schedule, stage_ends)
    betas, decay = (config.beta1, config.beta2), config.weight_decay
    optimizer = {
        "adamw": lambda: optax.adamw(schedule, *betas, weight_decay=decay),
        "muon": lambda: optax.contrib.muon(
            schedule,
            weight_decay=decay,
            adam_b1=betas[0],
            adam_b2=betas[1],
            adam_weight_decay=decay,
            ns_coeffs=ORTHOGONALIZED,
            muon_weight_dimension_numbers=_matrices,
        ),
    }[config.optimizer]()
    if config.clip_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    return packed(optimizer)


def _along_tokens(schedule: optax.Schedule, ends: Sequence[int]) -> optax.Schedule:
    """The same schedule over tokens, of which every stage reads as many."""
    steps = jnp.array([0, *ends], jnp.float32)
    read = jnp.linspace(0.0, steps[-1], len(steps))
    return lambda count: schedule(jnp.interp(count, steps, read))


def packed(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same optimiser on fewer arrays: matrices of a shape stacked, the rest joined.

    A model of 25,000 numbers has 30 arrays, and an array costs more time than its
    numbers, in each step and to compile. For optimisers that treat each number, or each
    matrix, by itself.
    """

    def init(params: Any) -> Any:
        return optimizer.init(_pack(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        packed: Any
        packed, state = optimizer.update(_pack(updates), state, _pack(params))
        return _unpack(packed, like=updates), state

    return optax.GradientTransformation(init, update)


def _pack(tree: Any) -> dict[str, jax.Array]:
    """A tree's matrices by shape, stacked, and all its other numbers in a row."""
    groups: dict[str, list[jax.Array]] = {}
    for leaf in jax.tree.leaves(tree):
        leaf = leaf if leaf.ndim == 2 else leaf.ravel()
        groups.setdefault(_kind(leaf), []).append(leaf)
    return {
        kind: jnp.stack(leaves) if leaves[0].ndim == 2 else jnp.concatenate(leaves)
        for kind, leaves in groups.items()
    }


def _unpack(packed: dict[str, jax.Array], like: Any) -> Any:
    """The tree that was packed so."""
    leaves, structure = jax.tree.flatten(like)
    used, found = dict.fromkeys(packed, 0), []
    for leaf in leaves:
        kind = _kind(leaf)
        here, start = packed[kind], used[kind]
        count = 1 if leaf.ndim == 2 else leaf.size
        used[kind] = start + count
        found.append(here[start : start + count].reshape(leaf.shape))
    return structure.unflatten(found)


def _kind(leaf: jax.Array) -> str:
    return f"{leaf.dtype} {leaf.shape if leaf.ndim == 2 else ''}"


def _matrices(packed: Any) -> Any:
    """The axes of what is stacked that are a matrix's; None: not for Muon."""
    axes = optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
    return jax.tree.map(lambda leaf: axes if leaf.ndim == 3 else None, packed)
