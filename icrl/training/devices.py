"""A batch spread over the devices that there are."""

import math

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from envs.base import Key


def over_devices(keys: Key) -> Key:
    """Shards a batch of keys, and so all that is made from them, over the devices.

    Models stay replicated; XLA sums the gradients. Where the devices do not divide the
    batch, as many are used as do.
    """
    devices = math.gcd(jax.device_count(), keys.shape[0])
    if devices == 1:
        return keys
    mesh = jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )
    return jax.lax.with_sharding_constraint(keys, NamedSharding(mesh, P("data")))
