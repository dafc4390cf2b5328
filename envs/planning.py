"""Exact values of finite-horizon tabular MDPs, by backward induction.

Bellman 1957. Tables have one row for each step of the episode; what follows the last
step is worth nothing. All functions take one MDP: `vmap` for more.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Transitions = Float[Array, "states actions states"]
Rewards = Float[Array, "states actions"]  # mean, reward units
QValues = Float[Array, "horizon states actions"]
EXACT = jax.lax.Precision.HIGHEST  # else a GPU rounds the factors to 10 bits


def optimal_q_values(
    transitions: Transitions, rewards: Rewards, horizon: int
) -> QValues:
    """Q* of every step, state and action."""

    def earlier(next_value: Array, _: None) -> tuple[Array, Array]:
        q_values = rewards + expected(transitions, next_value)
        return q_values.max(-1), q_values

    nothing = jnp.zeros(rewards.shape[0])
    return jax.lax.scan(earlier, nothing, length=horizon, reverse=True)[1]


def expected(
    transitions: Transitions, next_value: Float[Array, " states"]
) -> Float[Array, "states actions"]:
    """What comes after every state and action is worth this much on average."""
    return jnp.matmul(transitions, next_value, precision=EXACT)
