"""Policies that play the action of highest index."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, Task
from icrl.algorithms.base import AgentState, Algorithm


def index_policy(
    family: Family | Task,
    *,
    init: Callable[[], AgentState],
    index: Callable[[AgentState, Any], Float[Array, " actions"]],
    update: Callable[[AgentState, Any, Array, Any], AgentState],
    exploration: Callable[[AgentState], Float[Array, ""]] | None = None,
    random_ties: bool = False,
) -> Algorithm:
    """Plays the action of highest index; ties go to the lowest action.

    Args:
        family: what it plays; a task, where the index knows it.
        init: as in `Algorithm`.
        index: `(state, obs) -> Float[actions]`.
        update: as in `Algorithm`.
        exploration: `state -> probability` that this step's action is drawn uniformly
            from all of them instead; without it there is no such step.
        random_ties: whether all actions of highest index are equally likely instead.
    """
    num_actions = family.num_actions

    def greedy(state: AgentState, obs: Any) -> Float[Array, " actions"]:
        """The probabilities of the actions of highest index."""
        score = index(state, obs)
        if not random_ties:
            return jax.nn.one_hot(jnp.argmax(score), num_actions)
        tied = (score == score.max()).astype(jnp.float32)
        return tied / tied.sum()

    def act(key: jax.Array, state: AgentState, obs: Any) -> tuple[AgentState, Array]:
        if random_ties:
            key, key_tie = jax.random.split(key)
            order = jax.random.uniform(key_tie, (num_actions,))
            best = jnp.argmax(jnp.where(greedy(state, obs) > 0, order, -1.0))
        else:
            best = jnp.argmax(index(state, obs))
        if exploration is None:
            return state, best
        # One word serves both: its remainder is the arm, and the quotient, which has
        # 2³² / actions values and is independent of it, the coin.
        word = jax.random.bits(key)
        coin = (word // num_actions).astype(jnp.float32) * (num_actions / 2**32)
        anything = (word % num_actions).astype(best.dtype)
        return state, jnp.where(coin < exploration(state), anything, best)

    def action_probabilities(state: AgentState, obs: Any) -> Float[Array, " actions"]:
        if exploration is None:
            return greedy(state, obs)
        probability = exploration(state)
        return probability / num_actions + (1 - probability) * greedy(state, obs)

    return Algorithm(
        init=init, act=act, update=update, action_probabilities=action_probabilities
    )
