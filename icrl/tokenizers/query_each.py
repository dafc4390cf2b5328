"""Ours: every token shows a transition and a query state."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Family, TimeStep, require_discrete
from icrl.tokenizers.base import (
    LastStep,
    Tokenizer,
    Tokens,
    first_episode,
    no_tokens,
    transition_of,
)
from icrl.tokenizers.registry import register


@register("query_each")
def query_each(family: Family) -> Tokenizer:
    """Every token shows a transition and a query state.

    A token is [s_query, s, one-hot a, s', r] of the transition before. Where
    `query_first` learns one answer from a context, this learns one from every prefix of
    it, each for another query; and all queries share one cache of the data.

    Raises:
        ValueError: if observations are real-valued: they cannot all be queries.
    """
    space = require_discrete("query_each", family)
    show, size = transition_of(family)

    def init() -> LastStep:
        return LastStep(episode=first_episode(), shown=jnp.zeros(size))

    def observe(memory: LastStep, obs: Any) -> tuple[LastStep, Tokens]:
        return memory, jnp.concatenate([space.encode(obs), memory.shown])[None]

    def record(
        memory: LastStep, obs: Any, action: Array, timestep: TimeStep
    ) -> tuple[LastStep, Tokens]:
        shown = jnp.where(memory.episode.alive, show(obs, action, timestep), 0.0)
        return LastStep(memory.episode.after(timestep), shown), no_tokens(
            space.size + size
        )

    return Tokenizer(
        family=family,
        token_size=space.size + size,
        tokens_per_step=1,
        init=init,
        observe=observe,
        record=record,
        last_step_only=True,
        query="each",
    )
