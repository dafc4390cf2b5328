"""Exact values of finite-horizon tabular MDPs, by backward induction.

Bellman 1957. Tables have one row for each step of the episode; what follows the last
step is worth nothing. All functions take one MDP: `vmap` for more.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Transitions = Float[Array, "states actions states"]
Rewards = Float[Array, "states actions"]  # mean, reward units
Policy = Float[Array, "horizon states actions"]  # probabilities of actions
QValues = Float[Array, "horizon states actions"]
EXACT = jax.lax.Precision.HIGHEST  # else a GPU rounds the factors to 10 bits


def optimal_q_values(
    transitions: Transitions, rewards: Rewards, horizon: int
) -> QValues:
    """Q* of every step, state and action."""

    def earlier(next_value: Array, _: None) -> tuple[Array, Array]:
        q_values = rewards + expected(transitions, next_value)
        return q_values.max(-1), q_values

    return _backward(earlier, rewards, horizon)


def policy_q_values(
    transitions: Transitions, rewards: Rewards, policy: Policy
) -> QValues:
    """Q of a Markov policy, at every step, state and action."""

    def earlier(next_value: Array, law: Array) -> tuple[Array, Array]:
        q_values = rewards + expected(transitions, next_value)
        return (law * q_values).sum(-1), q_values

    return _backward(earlier, rewards, policy.shape[0], policy)


def policy_values(
    transitions: Transitions, rewards: Rewards, policy: Policy
) -> Float[Array, "horizon states"]:
    """Expected rewards from every step and state to the end of the episode."""
    return (policy * policy_q_values(transitions, rewards, policy)).sum(-1)


def state_laws(
    transitions: Transitions, initial: Float[Array, " states"], policy: Policy
) -> Float[Array, "horizon states"]:
    """Where a Markov policy is at every step, as probabilities."""

    def later(here: Array, law: Array) -> tuple[Array, Array]:
        return jnp.einsum("s,sa,sat->t", here, law, transitions, precision=EXACT), here

    return jax.lax.scan(later, initial, policy)[1]


def expected(
    transitions: Transitions, next_value: Float[Array, " states"]
) -> Float[Array, "states actions"]:
    """What comes after every state and action is worth this much on average."""
    return jnp.matmul(transitions, next_value, precision=EXACT)


def _backward(
    earlier, rewards: Rewards, horizon: int, policy: Policy | None = None
) -> QValues:
    nothing = jnp.zeros(rewards.shape[0])
    return jax.lax.scan(earlier, nothing, policy, horizon, reverse=True)[1]
