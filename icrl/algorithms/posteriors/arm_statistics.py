"""Pull counts and reward sums: all that an independent-arms learner remembers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family


class ArmStatistics(NamedTuple):
    """What has been seen of every arm."""

    pulls: Float[Array, "*batch arms"]
    total: Float[Array, "*batch arms"]  # sum of rewards


def no_pulls(family: Family) -> ArmStatistics:
    """The statistics before the first step."""
    nothing = jnp.zeros(family.num_actions)
    return ArmStatistics(pulls=nothing, total=nothing)


def count_pull(
    statistics: ArmStatistics, action: Array, reward: Array
) -> ArmStatistics:
    """The statistics after one more pull."""
    # A one-hot sum instead of `.at[action].add`: under vmap that is a scatter, which
    # is several times slower on a CPU.
    pulled = jax.nn.one_hot(action, statistics.pulls.shape[-1])
    return ArmStatistics(
        pulls=statistics.pulls + pulled,
        total=statistics.total + reward * pulled,
    )


def empirical_means(statistics: ArmStatistics) -> Float[Array, " arms"]:
    """Average reward of every arm; 0 for an arm never pulled."""
    return statistics.total / jnp.maximum(statistics.pulls, 1.0)


def update_statistics(
    state: ArmStatistics, obs: Any, action: Array, timestep: Any
) -> ArmStatistics:
    """The `Algorithm.update` of a learner whose whole state is the statistics."""
    del obs
    return count_pull(state, action, timestep.reward)
