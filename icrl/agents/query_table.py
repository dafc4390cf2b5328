"""A trained model that is asked about states, seen as a learning algorithm.

DPT's layout puts the state in question before the data, so that every state of an MDP
has a context of its own. The data changes between episodes only: a table of the logits
of all states is made when an episode begins, and looked up while it runs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import require
from icrl.algorithms.base import Algorithm
from icrl.models.base import SequenceModel
from icrl.tokenizers.tokens import Layout, Token

QUERIES_AT_ONCE = 25  # bounds memory, where each has a context of its own
PEEKS_AT_ONCE = 100  # the same where they share one


class Memory(NamedTuple):
    """What is remembered: transitions of whole episodes, and what they say."""

    tokens: Float[Array, "capacity token"]  # oldest first
    length: Int[Array, ""]  # how many of them there are
    logits: Float[Array, "queries actions"]  # of every state, for this episode
    alive: Bool[Array, ""]  # the episode has not terminated


def ask_states(
    model: SequenceModel,
    layout: Layout,
    *,
    greedy: bool = False,
    num_episodes: int | None = None,
) -> Algorithm:
    """Plays a model that is asked about states, with the last episodes as its data.

    Source: Lee et al. 2023, arXiv 2306.14892, Algorithm 1 (online). The released code
    keeps one episode; the paper's text appends for ever.

    Args:
        model: the trained model.
        layout: `query_first` or `query_each`.
        greedy: play the likeliest action instead of sampling.
        num_episodes: whole episodes kept; as many as the model has room for if None.
            Data given beforehand (`update` before the first episode) counts too.

    Raises:
        ValueError: if the model has no room for as many, or for one.
    """
    room = (model.max_tokens - 1) // layout.horizon
    kept = room if num_episodes is None else num_episodes
    rule = f"num_episodes must lie in [1, {room}], the model's room"
    require(1 <= kept <= room, rule, kept)
    window = kept * layout.horizon
    capacity = window + layout.horizon
    after = layout.after
    assert after is not None  # for type checkers
    table = _table(model, layout, window)
    shown_size = layout.token_size - layout.query_size

    def init() -> Memory:
        return Memory(
            tokens=jnp.zeros((capacity, shown_size)),
            length=jnp.zeros((), jnp.int32),
            logits=jnp.zeros((layout.num_queries, layout.num_actions)),
            alive=jnp.ones((), bool),
        )

    def begin_episode(key: Array, memory: Memory) -> Memory:
        del key
        forgotten = jnp.maximum(memory.length - window, 0)
        tokens = jnp.roll(memory.tokens, -forgotten, axis=0)
        length = memory.length - forgotten
        return Memory(tokens, length, table(tokens, length), jnp.ones((), bool))

    def act(key: Array, memory: Memory, obs: Any) -> tuple[Memory, Array]:
        logits = memory.logits[obs]
        if greedy:
            return memory, jnp.argmax(logits)
        return memory, jax.random.categorical(key, logits)

    def update(memory: Memory, obs: Any, action: Array, timestep: Any) -> Memory:
        token = jnp.where(memory.alive, after(obs, action, timestep), 0.0)
        return memory._replace(
            # round and round: of data that is longer the last is kept
            tokens=memory.tokens.at[memory.length % capacity].set(token),
            length=memory.length + 1,
            alive=memory.alive & ~timestep.terminated,
        )

    def action_probabilities(memory: Memory, obs: Any) -> Array:
        logits = memory.logits[obs]
        if greedy:
            return jax.nn.one_hot(jnp.argmax(logits), layout.num_actions)
        return jax.nn.softmax(logits)

    return Algorithm(
        init=init,
        begin_episode=begin_episode,
        act=act,
        update=update,
        action_probabilities=action_probabilities,
    )


def _table(
    model: SequenceModel, layout: Layout, window: int
) -> Callable[[Array, Array], Float[Array, "queries actions"]]:
    """`(tokens, length) -> logits` of every state, given the first `length` tokens.

    Args:
        model: the trained model.
        layout: one that asks about states.
        window: transitions that are remembered.
    """
    states, query, ask = jnp.arange(layout.num_queries), layout.query, layout.ask
    if ask is not None:

        def by_cache(tokens: Array, length: Array) -> Array:
            return _ask_one_cache(model, ask, states, tokens[:window], length)

        return by_cache
    assert query is not None  # for type checkers

    def by_context(tokens: Array, length: Array) -> Array:
        def answer(state: Array) -> Array:
            whole = jnp.concatenate([query(state)[None], tokens[:window]])
            return model(whole)[length]

        return jax.lax.map(answer, states, batch_size=QUERIES_AT_ONCE)

    return by_context


def _ask_one_cache(
    model: SequenceModel,
    ask: Callable[[Any, Array], Token],
    states: Int[Array, " queries"],
    tokens: Float[Array, "window shown"],
    length: Int[Array, ""],
) -> Float[Array, "queries actions"]:
    """Reads the first `length` transitions once, and asks about every state."""
    shown = jnp.concatenate([jnp.zeros_like(tokens[:1]), tokens])
    others = jnp.arange(tokens.shape[0]) % states.shape[0]  # answered to nobody
    cache, _ = model.prefill(jax.vmap(ask)(others, shown[:-1]), length)

    def answer(state: Array) -> Array:
        return model.peek(cache, ask(state, shown[length]))

    return jax.lax.map(answer, states, batch_size=PEEKS_AT_ONCE)
