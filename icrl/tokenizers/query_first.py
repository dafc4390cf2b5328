"""DPT's tokens: the query state, then one token a transition."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.base import Family, TimeStep, require_discrete
from icrl.tokenizers.base import (
    Episode,
    Tokenizer,
    Tokens,
    first_episode,
    no_tokens,
    transition_of,
)
from icrl.tokenizers.registry import register


class Memory(NamedTuple):
    """The last transition, which the next token shows, if there is one."""

    episode: Episode
    shown: Float[Array, " token"]
    known: Bool[Array, ""]


@register("query_first")
def query_first(family: Family) -> Tokenizer:
    """DPT's tokens: the query state, then one token a transition.

    Token 0 is [s_query, 0, 0, 0]; token j is [s, one-hot a, s', r].

    Of an MDP every state has a context of its own, with the same transitions: there is
    no cache, and no need for the transitions to be a trajectory (`query_table`).

    Source: Lee et al. 2023, arXiv 2306.14892, Section 3 and its code. For bandits the
    state is the constant 1 there too.

    Raises:
        ValueError: if observations are real-valued: they cannot all be queries.
    """
    space = require_discrete("query_first", family)
    show, size = transition_of(family)

    def init() -> Memory:
        nothing = jnp.zeros(size)
        return Memory(episode=first_episode(), shown=nothing, known=jnp.zeros((), bool))

    def observe(memory: Memory, obs: Any) -> tuple[Memory, Tokens]:
        query = jnp.concatenate([space.encode(obs), jnp.zeros(size - space.size)])
        return memory, jnp.where(memory.known, memory.shown, query)[None]

    def record(
        memory: Memory, obs: Any, action: Array, timestep: TimeStep
    ) -> tuple[Memory, Tokens]:
        shown = show(obs, action, timestep)
        after = Memory(
            episode=memory.episode.after(timestep),
            shown=jnp.where(memory.episode.alive, shown, 0.0),
            known=jnp.ones((), bool),
        )
        return after, no_tokens(size)

    return Tokenizer(
        family=family,
        token_size=size,
        tokens_per_step=1,
        init=init,
        observe=observe,
        record=record,
        last_step_only=True,
        query="first",
    )
