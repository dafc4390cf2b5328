"""RL²'s tokens: one token a step, which carries what the last step brought."""

from typing import Any

import jax
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
    no_tokens,
)
from icrl.tokenizers.registry import register


@register("step")
def step(
    family: Family,
    *,
    by_features: bool = False,
    whole: bool = False,
    ended: bool = False,
) -> Tokenizer:
    """RL²'s tokens: one token a step, which carries what the last step brought.

    A token is [obs, one-hot previous action, previous reward, episode-end flag].
    Causal, so that one cache serves all steps of the agent.

    Source: Duan et al. 2016, arXiv 1611.02779, Section 3.1.

    Args:
        family: what is played.
        by_features: as `step_features`.
        whole: as `step_whole`.
        ended: as `rl2`.

    Raises:
        ValueError: if its actions have no features to be shown by.
    """
    space = family.observation
    show_action, size = action_shown(family, by_features=by_features)
    clock_size = family.horizon if whole else 0
    size += (space.size if whole else 0) + 2
    token_size = space.size + size + clock_size

    def init() -> LastStep:
        shown = jnp.zeros(size)
        if ended:
            shown = shown.at[jnp.array([0, -1])].set(1.0)
        return LastStep(episode=first_episode(), shown=shown)

    def observe(memory: LastStep, obs: Any) -> tuple[LastStep, Tokens]:
        clock = jax.nn.one_hot(memory.episode.step, clock_size)
        return memory, jnp.concatenate([space.encode(obs), memory.shown, clock])[None]

    def record(
        memory: LastStep, obs: Any, action: Array, timestep: TimeStep
    ) -> tuple[LastStep, Tokens]:
        parts = [show_action(obs, action)]
        if whole:
            parts.append(space.encode(obs))
        done = timestep.done.astype(jnp.float32)
        shown = jnp.concatenate([*parts, timestep.reward[None], done[None]])
        shown = jnp.where(memory.episode.alive, shown, 0.0)
        return LastStep(memory.episode.after(timestep), shown), no_tokens(token_size)

    return Tokenizer(
        family=family,
        token_size=token_size,
        tokens_per_step=1,
        init=init,
        observe=observe,
        record=record,
        last_step_only=True,
        arm_features=arm_features(family),
    )
