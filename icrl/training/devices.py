"""A batch spread over the devices that there are."""

import math

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from envs.base import Key


def over_devices(keys: Key) -> Key:
    """Shards a batch of keys, and so all that is made from them, over the devices.

    Models stay replicated; XLA sums the gradients. Where the devices do not divide the
    batch, as many parts are made as do, and some devices do the same.
    """
    parts = math.gcd(jax.device_count(), keys.shape[0])
    if parts == 1:
        return keys
    return jax.lax.with_sharding_constraint(
        keys, NamedSharding(_mesh(parts), P("part"))
    )


def on_every_device() -> NamedSharding:
    """Where models are: a whole copy on every device."""
    return NamedSharding(_mesh(1), P())


def _mesh(parts: int) -> jax.sharding.Mesh:
    shape = (parts, jax.device_count() // parts)
    return jax.make_mesh(shape, ("part", "copy"), axis_types=(AxisType.Auto,) * 2)
