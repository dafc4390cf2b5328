"""Pull counts and reward sums: all that an independent-arms learner remembers."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family
from envs.observation import Arms, Discrete
from icrl.algorithms.posteriors import compensated


class ArmStatistics(NamedTuple):
    """What has been seen of every arm.

    Attributes:
        pulls: how often.
        total: sum of rewards.
        excess: by how much rounding made `total` too large; None: not at all.
    """

    pulls: Float[Array, "*batch arms"]
    total: Float[Array, "*batch arms"]
    excess: Float[Array, "*batch arms"] | None = None


def require_bandit(who: str, family: Family) -> None:
    """Raises `ValueError` unless what an arm pays does not depend on a state.

    A learner that counts pulls of arms ignores what it observes, be it features: in an
    MDP it would play on as if all states were one.
    """
    space = family.observation
    shows_nothing = isinstance(space, Discrete) and space.n == 1
    if not shows_nothing and not isinstance(space, Arms):
        raise ValueError(
            f"{who} needs a bandit, as it ignores states, got observations {space} of "
            f"{family.name or type(family).__name__}"
        )


def no_pulls(family: Family) -> ArmStatistics:
    """The statistics before the first step."""
    nothing = jnp.zeros(family.num_actions)
    return ArmStatistics(pulls=nothing, total=nothing, excess=nothing)


def count_pull(
    statistics: ArmStatistics, action: Array, reward: Array
) -> ArmStatistics:
    """The statistics after one more pull."""
    pulls, total, excess = statistics
    excess = jnp.zeros_like(total) if excess is None else excess
    new_total, new_excess = compensated.add(total, excess, reward)
    # A mask instead of `.at[action]`: under vmap that is a scatter, which is several
    # times slower on a CPU.
    pulled = jnp.arange(pulls.shape[-1]) == action
    return ArmStatistics(
        pulls=pulls + pulled,
        total=jnp.where(pulled, new_total, total),
        excess=jnp.where(pulled, new_excess, excess),
    )


def empirical_means(statistics: ArmStatistics) -> Float[Array, " arms"]:
    """Average reward of every arm; 0 for an arm never pulled."""
    return statistics.total / jnp.maximum(statistics.pulls, 1.0)


def means_from(
    origin: Float[Array, ""], statistics: ArmStatistics
) -> Float[Array, " arms"]:
    """Average reward of every arm less `origin`, where that is near, to all digits.

    What is known of an arm after many pulls is finer than a float32's last digit.
    """
    pulls = jnp.maximum(statistics.pulls, 1.0)
    means, one = empirical_means(statistics), jnp.ones_like(pulls)
    rest = compensated.difference_of_products(statistics.total, one, means, pulls)
    if statistics.excess is not None:
        rest = rest - statistics.excess
    return (means - origin) + rest / pulls


def update_statistics(
    state: ArmStatistics, obs: Any, action: Array, timestep: Any
) -> ArmStatistics:
    """The `Algorithm.update` of a learner whose whole state is the statistics."""
    del obs
    return count_pull(state, action, timestep.reward)
