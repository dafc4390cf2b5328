"""A batch spread over the devices that there are."""

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from envs.base import Key


def over_devices(keys: Key) -> Key:
    """Shards a batch of keys, and so all that is made from them, over the devices.

    Models stay replicated; XLA sums the gradients.

    Raises:
        ValueError: if the devices do not divide the batch.
    """
    devices = jax.device_count()
    if devices == 1:
        return keys
    if keys.shape[0] % devices:
        raise ValueError(
            f"batch_size ({keys.shape[0]}) must be a multiple of the number of "
            f"devices ({devices})"
        )
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
    return jax.lax.with_sharding_constraint(keys, NamedSharding(mesh, P("data")))
