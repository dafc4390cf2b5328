"""Policies that play the action of highest index."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, Task, require
from icrl.algorithms.base import AgentState, Algorithm


def index_policy(
    family: Family | Task,
    *,
    init: Callable[[], AgentState],
    index: Callable[[AgentState, Any], Float[Array, " actions"]],
    update: Callable[[AgentState, Any, Array, Any], AgentState],
    exploration: Callable[[AgentState], Float[Array, ""]] | None = None,
    random_ties: bool = False,
    temperature: float = 0.0,
) -> Algorithm:
    """Plays the action of highest index; ties go to the lowest action.

    Above temperature 0, actions are drawn from the softmax of their indices over it.

    Args:
        family: what it plays; a task, where the index knows it.
        init: as in `Algorithm`.
        index: `(state, obs) -> Float[actions]`.
        update: as in `Algorithm`.
        exploration: `state -> probability` that this step's action is drawn uniformly
            from all of them instead; without it there is no such step.
        random_ties: whether all actions of highest index are equally likely instead.
        temperature: in the units of the index.

    Raises:
        ValueError: if the temperature is negative.
    """
    require(temperature >= 0, "temperature must not be negative", temperature)
    num_actions = family.num_actions

    def chosen(state: AgentState, obs: Any) -> Float[Array, " actions"]:
        """The probabilities of the actions, those of highest index or a softmax."""
        score = index(state, obs)
        if temperature > 0:
            return jax.nn.softmax(score / temperature)
        if not random_ties:
            return jax.nn.one_hot(jnp.argmax(score), num_actions)
        tied = (score == score.max()).astype(jnp.float32)
        return tied / tied.sum()

    def act(key: jax.Array, state: AgentState, obs: Any) -> tuple[AgentState, Array]:
        if temperature > 0:
            key_draw = key
            if exploration is not None:
                key, key_draw = jax.random.split(key)
            best = jax.random.categorical(key_draw, index(state, obs) / temperature)
        elif random_ties:
            key, key_tie = jax.random.split(key)
            order = jax.random.uniform(key_tie, (num_actions,))
            best = jnp.argmax(jnp.where(chosen(state, obs) > 0, order, -1.0))
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
            return chosen(state, obs)
        probability = exploration(state)
        return probability / num_actions + (1 - probability) * chosen(state, obs)

    return Algorithm(
        init=init, act=act, update=update, action_probabilities=action_probabilities
    )
