"""A batch spread over the devices that there are."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from envs.base import Key


def sum_over_devices(function: Callable[[Any, Key], Any], whole: Any, keys: Key) -> Any:
    """`function(whole, keys)`, a sum over the keys, of which each device has a part.

    Devices wait for each other once, when their sums are added. The keys are cut into
    as many parts as divide both them and the devices; further devices repeat a part.
    """
    parts = num_parts(keys.shape[0])
    if parts == 1:
        return function(whole, keys)
    return jax.shard_map(
        lambda whole, keys: jax.lax.psum(function(whole, keys), "part"),
        mesh=_mesh(parts),
        in_specs=(P(), P("part")),
        out_specs=P(),
        check_vma=False,  # a loop may start from the same on each, and then part
    )(whole, keys)


def over_devices(function: Callable[[Any, Any], Any], whole: Any, batch: Any) -> Any:
    """`function(whole, batch)`, row by row, of which each device has a part.

    The rows are cut as those of `sum_over_devices`; results have as many.
    """
    parts = num_parts(jax.tree.leaves(batch)[0].shape[0])
    if parts == 1:
        return function(whole, batch)
    return jax.shard_map(
        function,
        mesh=_mesh(parts),
        in_specs=(P(), P("part")),
        out_specs=P("part"),
        check_vma=False,  # a loop may start from the same on each, and then part
    )(whole, batch)


def num_parts(size: int) -> int:
    """Among how many devices a batch of that size is shared."""
    return math.gcd(jax.device_count(), size)


def on_every_device() -> NamedSharding:
    """Where models are: a whole copy on every device."""
    return NamedSharding(_mesh(1), P())


def divisible(size: int) -> int:
    """The least size from `size` on that the devices share evenly."""
    return size + -size % jax.device_count()


def in_parts(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Compiles `(models, batch) -> results`, where each device takes part of the batch.

    The devices never wait for each other, as they would in a loop that ends when all
    have ended. They must share the batch evenly; see `divisible`.
    """
    parts = jax.device_count()
    if parts > 1:
        batch = P("part")
        function = jax.shard_map(
            function,
            mesh=_mesh(parts),
            in_specs=(P(), batch),
            out_specs=batch,
            check_vma=False,  # a loop may start from the same on each, and then part
        )
    return jax.jit(function)


def _mesh(parts: int) -> jax.sharding.Mesh:
    shape = (parts, jax.device_count() // parts)
    return jax.make_mesh(shape, ("part", "copy"), axis_types=(AxisType.Auto,) * 2)
