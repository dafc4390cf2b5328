"""One token a step, and one more that says goodbye to an episode."""

import jax
import jax.numpy as jnp

from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.registry import register


@register("with_goodbye")
def with_goodbye(family):
    """[1, one-hot last action, last reward, 0] each step; [0, ..., 0, 1] at the end."""
    size = family.num_actions + 3
    goodbye = jnp.zeros(size).at[-1].set(1.0)

    def init():
        return jnp.zeros(size)

    def observe(memory, obs):
        del obs
        return memory, memory.at[0].set(1.0)[None]

    def record(memory, obs, action, timestep):
        del memory, obs
        shown = jax.nn.one_hot(action, family.num_actions)
        parts = [jnp.zeros(1), shown, timestep.reward[None], jnp.zeros(1)]
        return jnp.concatenate(parts), goodbye[None]

    return Tokenizer(
        family=family,
        token_size=size,
        tokens_per_step=1,
        end_tokens=1,
        init=init,
        observe=observe,
        record=record,
    )
