"""Lin et al.'s tokens: an observation, then an action and its reward."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Family, TimeStep
from icrl.tokenizers.base import (
    LastStep,
    Tokenizer,
    Tokens,
    action_shown,
    arm_features,
    first_episode,
)
from icrl.tokenizers.registry import register


@register("interleaved")
def interleaved(family: Family, *, by_features: bool = False) -> Tokenizer:
    """Lin et al.'s tokens: an observation, then an action and its reward.

    They are [obs, 0, 0] and [0, one-hot a, r]. The constant and the raw position that
    the released code appends to both are left to the model (a bias; `positions`).

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 2 and its code.

    Args:
        family: what is played.
        by_features: as `interleaved_features`.

    Raises:
        ValueError: if its actions have no features to be shown by.
    """
    space = family.observation
    show_action, size = action_shown(family, by_features=by_features)

    def init() -> LastStep:
        return LastStep(episode=first_episode(), shown=jnp.zeros(0))

    def observe(memory: LastStep, obs: Any) -> tuple[LastStep, Tokens]:
        return memory, jnp.concatenate([space.encode(obs), jnp.zeros(size + 1)])[None]

    def record(
        memory: LastStep, obs: Any, action: Array, timestep: TimeStep
    ) -> tuple[LastStep, Tokens]:
        shown = [
            jnp.zeros(space.size),
            show_action(obs, action),
            timestep.reward[None],
        ]
        token = jnp.where(memory.episode.alive, jnp.concatenate(shown), 0.0)
        after = memory._replace(episode=memory.episode.after(timestep))
        return after, token[None]

    return Tokenizer(
        family=family,
        token_size=space.size + size + 1,
        tokens_per_step=2,
        init=init,
        observe=observe,
        record=record,
        last_step_only=True,
        arm_features=arm_features(family),
    )
