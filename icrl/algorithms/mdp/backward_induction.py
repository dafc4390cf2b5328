"""Planning by backward induction, for learners whose backups are their own.

`envs.planning` is the same with a known MDP.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.planning import expected
from icrl.algorithms.posteriors.mdp_statistics import MDPStatistics

PerAction = Float[Array, "states actions"]
Table = Float[Array, "horizon states actions"]
Backup = Callable[[Float[Array, " states"], Any], PerAction]


def backward_induction(
    backup: Backup,
    statistics: MDPStatistics,
    horizon: int,
    *,
    per_step: Any = None,
) -> Table:
    """Q of every step, from the last to the first.

    A state in which an episode has ended is worth nothing, whatever the backup says.

    Args:
        backup: `(next_value, x) -> q_values`, x one entry of `per_step`. What follows
            the last step is worth nothing.
        statistics: which states are known to end an episode.
        horizon: steps in an episode.
        per_step: a pytree with a leading axis of the episode's steps, or None.
    """
    ended: Bool[Array, " states"] = statistics.ended

    def earlier(next_value: Array, x: Any) -> tuple[Array, Array]:
        q_values = jnp.where(ended[:, None], 0.0, backup(next_value, x))
        return q_values.max(-1), q_values

    nothing = jnp.zeros(ended.shape[0])
    return jax.lax.scan(earlier, nothing, per_step, horizon, reverse=True)[1]


def optimal_plan(
    statistics: MDPStatistics,
    rewards: PerAction,
    transitions: Float[Array, "states actions states"],
    horizon: int,
) -> Table:
    """Q* of the MDP with these tables, but for the states known to end an episode."""

    def backup(next_value: Array, _: None) -> PerAction:
        return rewards + expected(transitions, next_value)

    return backward_induction(backup, statistics, horizon)
