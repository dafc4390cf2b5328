"""The uniform baseline."""

import jax
import jax.numpy as jnp

from envs.base import Family
from icrl.algorithms.base import Algorithm
from icrl.algorithms.registry import register


@register("uniform")
def uniform(family: Family) -> Algorithm:
    """Plays every action with equal probability and never learns."""

    def act(key, state, obs):
        del obs
        return state, jax.random.randint(key, (), 0, family.num_actions)

    def action_probabilities(state, obs):
        del state, obs
        return jnp.full(family.num_actions, 1 / family.num_actions)

    return Algorithm(
        init=tuple,
        act=act,
        update=lambda state, *_: state,
        action_probabilities=action_probabilities,
    )
