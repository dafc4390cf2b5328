"""A trained model whose queries are states, seen as a learning algorithm.

DPT puts the query state before the data, so that every state of an MDP has a context of
its own. The data changes between episodes only: a table of the logits of all states is
made when an episode begins, and looked up while it runs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import require, require_discrete
from icrl.algorithms.base import Algorithm, Interface
from icrl.models.base import SequenceModel
from icrl.tokenizers.base import Tokenizer

QUERIES_AT_ONCE = 25  # bounds memory, where each has a context of its own
PEEKS_AT_ONCE = 100  # the same where they share one


class Memory(NamedTuple):
    """What is remembered: transitions of whole episodes, and what they say."""

    known: Any  # the tokenizer's memory after each transition [capacity], oldest first
    last: Any  # the same after the newest
    length: Int[Array, ""]  # how many transitions there are
    logits: Float[Array, "queries actions"]  # of every state, for this episode


def query_table(
    model: SequenceModel,
    tokenizer: Tokenizer,
    *,
    greedy: bool = False,
    num_episodes: int | None = None,
) -> Algorithm:
    """Plays a model whose queries are states, with the last episodes as its data.

    Source: Lee et al. 2023, arXiv 2306.14892, Algorithm 1 (online). The released code
    keeps one episode; the paper's text appends for ever.

    Args:
        model: the trained model.
        tokenizer: one that shows a query, as `query_first` (a context for each state)
            and `query_each` (one cache for all) do.
        greedy: play the likeliest action instead of sampling.
        num_episodes: whole episodes kept; as many as the model has room for if None.
            Data given beforehand (`update` before the first episode) counts too.

    Raises:
        ValueError: if the tokenizer has no query, or the model has no room for as many
            episodes, or for one.
    """
    one_each = tokenizer.tokens_per_step == 1 and not tokenizer.end_tokens
    rule = "query_table needs a tokenizer with a query and one token a step"
    require(tokenizer.query is not None and one_each, rule, tokenizer.query)
    family = tokenizer.family
    num_states = require_discrete("query_table", family).n
    room = (model.max_tokens - 1) // family.horizon
    kept = room if num_episodes is None else num_episodes
    rule = f"num_episodes must lie in [1, {room}], the model's room"
    require(1 <= kept <= room, rule, kept)
    window = kept * family.horizon
    capacity = window + family.horizon
    answers = _by_context if tokenizer.query == "first" else _by_cache

    def init() -> Memory:
        blank = tokenizer.init()
        return Memory(
            known=jax.tree.map(
                lambda x: jnp.broadcast_to(x, (capacity, *x.shape)), blank
            ),
            last=blank,
            length=jnp.zeros((), jnp.int32),
            logits=jnp.zeros((num_states, family.num_actions)),
        )

    def begin_episode(key: Array, memory: Memory) -> Memory:
        del key
        forgotten = jnp.maximum(memory.length - window, 0)
        known = jax.tree.map(lambda x: jnp.roll(x, -forgotten, axis=0), memory.known)
        length = memory.length - forgotten
        start = jax.tree.map(
            lambda first, rest: jnp.concatenate([first[None], rest[:window]]),
            tokenizer.init(),
            known,
        )
        logits = answers(model, tokenizer, jnp.arange(num_states), start, length)
        return memory._replace(known=known, length=length, logits=logits)

    def act(key: Array, memory: Memory, obs: Any) -> tuple[Memory, Array]:
        logits = memory.logits[obs]
        if greedy:
            return memory, jnp.argmax(logits)
        return memory, jax.random.categorical(key, logits)

    def update(memory: Memory, obs: Any, action: Array, timestep: Any) -> Memory:
        last, _ = tokenizer.record(memory.last, obs, action, timestep)
        # round and round: of data that is longer the last is kept
        place = memory.length % capacity
        return memory._replace(
            known=jax.tree.map(lambda x, new: x.at[place].set(new), memory.known, last),
            last=last,
            length=memory.length + 1,
        )

    def action_probabilities(memory: Memory, obs: Any) -> Float[Array, " actions"]:
        logits = memory.logits[obs]
        if greedy:
            return jax.nn.one_hot(jnp.argmax(logits), family.num_actions)
        return jax.nn.softmax(logits)

    return Algorithm(
        init=init,
        begin_episode=begin_episode,
        act=act,
        update=update,
        action_probabilities=action_probabilities,
        interface=Interface(
            num_actions=family.num_actions,
            observation=family.observation,
            horizon=family.horizon,
        ),
    )


def _by_context(
    model: SequenceModel,
    tokenizer: Tokenizer,
    states: Int[Array, " queries"],
    known: Any,
    length: Int[Array, ""],
) -> Float[Array, "queries actions"]:
    """Logits of every state, each from a context of its own that begins with it.

    Args:
        model: the trained model.
        tokenizer: one that shows the query in its first token.
        states: all of them.
        known: memories of the tokenizer [window + 1]: before the first transition, and
            after each.
        length: how many transitions there are.
    """

    def answer(state: Array) -> Array:
        _, tokens = jax.vmap(tokenizer.observe, (0, None))(known, state)
        return model(tokens[:, 0])[length]

    return jax.lax.map(answer, states, batch_size=QUERIES_AT_ONCE)


def _by_cache(
    model: SequenceModel,
    tokenizer: Tokenizer,
    states: Int[Array, " queries"],
    known: Any,
    length: Int[Array, ""],
) -> Float[Array, "queries actions"]:
    """Logits of every state, of a model that reads the transitions once.

    Args:
        model: the trained model.
        tokenizer: one that shows a query in every token.
        states: all of them.
        known: as in `_by_context`.
        length: how many transitions there are.
    """
    before = jax.tree.map(lambda x: x[:-1], known)
    window = jax.tree.leaves(before)[0].shape[0]
    others = jnp.arange(window) % states.shape[0]  # their answers are not used
    _, tokens = jax.vmap(tokenizer.observe)(before, others)
    cache, _ = model.prefill(tokens[:, 0], length)
    now = jax.tree.map(lambda x: x[length], known)

    def answer(state: Array) -> Array:
        return model.peek(cache, tokenizer.observe(now, state)[1][0])

    return jax.lax.map(answer, states, batch_size=PEEKS_AT_ONCE)
