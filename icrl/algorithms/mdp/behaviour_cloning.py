"""Behaviour cloning: do as the data did, state by state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, require_discrete
from icrl.algorithms.base import Algorithm
from icrl.algorithms.registry import register


class Clone(NamedTuple):
    """How often each action was taken in each state."""

    data: Float[Array, "*batch states actions"]  # before this episode
    current: Float[Array, "*batch states actions"]  # in it


@register("behaviour_cloning")
def behaviour_cloning(family: Family) -> Algorithm:
    """Draws one of the actions that the data took in this state, by their frequency.

    Where the data has never been, every action is as likely. Rewards are not looked at.
    What it does itself counts as data from the next episode on.

    Source: Pomerleau 1991, "Efficient training of artificial neural networks for
    autonomous navigation", with a table for the network.

    Args:
        family: with integer observations, which are taken to be the states.

    Raises:
        ValueError: if observations are not integers.
    """
    states = require_discrete("behaviour_cloning", family).n
    none = jnp.zeros((states, family.num_actions))

    def begin_episode(key: jax.Array, state: Clone) -> Clone:
        del key
        return Clone(data=state.data + state.current, current=none)

    def update(state: Clone, obs: Any, action: Array, timestep: Any) -> Clone:
        del timestep
        return state._replace(current=state.current.at[obs, action].add(1))

    def probabilities(state: Clone, obs: Any) -> Float[Array, " actions"]:
        counts = state.data[obs]
        total = counts.sum()
        uniform = 1 / family.num_actions
        return jnp.where(total > 0, counts / jnp.maximum(total, 1), uniform)

    def act(key: jax.Array, state: Clone, obs: Any) -> tuple[Clone, Array]:
        return state, jax.random.categorical(key, jnp.log(probabilities(state, obs)))

    return Algorithm(
        init=lambda: Clone(data=none, current=none),
        act=act,
        update=update,
        begin_episode=begin_episode,
        action_probabilities=probabilities,
    )
