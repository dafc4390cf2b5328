"""A trained sequence model, seen as a learning algorithm."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from icrl.algorithms.base import Algorithm, Interface
from icrl.models.base import SequenceModel
from icrl.tokenizers.base import Tokenizer, Tokens


class Context(NamedTuple):
    """All that a model in play remembers."""

    cache: Any  # the model's: it holds every token so far
    memory: Any  # the tokenizer's
    step: Int[Array, ""]  # of the episode; the same for all that are vmapped
    logits: Float[Array, " actions"]  # of the last decision; zeros before any


def begin_context(cache: Any, tokenizer: Tokenizer) -> Context:
    """Returns the context of a model that begins with this cache."""
    num_actions = tokenizer.family.num_actions
    return Context(
        cache=cache,
        memory=tokenizer.init(),
        step=jnp.zeros((), jnp.int32),
        logits=jnp.zeros(num_actions),
    )


def in_context(
    model: SequenceModel,
    tokenizer: Tokenizer,
    *,
    greedy: bool = False,
    noise: int = 0,
) -> Algorithm:
    """Plays a model's predictions; learning is nothing but appending to its context.

    One model call for every token, whatever the length of the context. Make it inside
    the jitted function that receives the model as an argument: closed over, the weights
    would be constants, and every checkpoint would compile anew.

    Args:
        model: the trained model.
        tokenizer: the one it was trained with.
        greedy: play the likeliest action instead of sampling from the softmax at
            temperature 1, which is what DPT and Lin et al. do online.
        noise: normal numbers with which every token ends; drawn anew for each action in
            those that are observed, and 0 in the others. All chance lies in them: it
            plays the likeliest action, and has no `action_probabilities`.

    Raises:
        ValueError: if the tokenizer needs a query, or a model that takes noise is not
            played greedily.
    """
    if noise and not greedy:
        raise ValueError(
            "a model that takes noise is played greedily, got greedy=False"
        )
    if tokenizer.needs_query:
        raise ValueError(
            f"a model with queries (query {tokenizer.query!r}) is played by the agent "
            "query_table, got in_context"
        )
    nothing = jnp.zeros((1, noise))
    own = tokenizer.tokens_per_step - tokenizer.observe_tokens  # tokens of `record`

    def read(cache: Any, tokens: Tokens) -> tuple[Any, Float[Array, " actions"]]:
        """The cache after some tokens, and the logits after the last of them."""
        if tokens.shape[0] == 1:
            return model.step(cache, tokens[0])
        cache, logits = jax.lax.scan(model.step, cache, tokens)
        return cache, logits[-1]

    def with_noise(tokens: Tokens, drawn: Float[Array, "1 noise"]) -> Array:
        ends = jnp.broadcast_to(drawn, (tokens.shape[0], noise))
        return jnp.concatenate([tokens, ends.astype(tokens.dtype)], axis=1)

    def look(
        context: Context, obs: Any, drawn: Float[Array, "1 noise"]
    ) -> tuple[Context, Float[Array, " actions"]]:
        memory, tokens = tokenizer.observe(context.memory, obs)
        tokens = with_noise(tokens, drawn)
        cache, logits = read(context.cache, tokens)
        return context._replace(cache=cache, memory=memory), logits

    def init() -> Context:
        return begin_context(model.init_cache(), tokenizer)

    def begin_episode(key: Array, context: Context) -> Context:
        del key
        return context._replace(step=jnp.zeros((), jnp.int32))

    def act(key: Array, context: Context, obs: Any) -> tuple[Context, Array]:
        drawn = jax.random.normal(key, (1, noise)) if noise else nothing
        context, logits = look(context, obs, drawn)
        context = context._replace(logits=logits.astype(context.logits.dtype))
        if greedy:
            return context, jnp.argmax(logits)
        return context, jax.random.categorical(key, logits)

    def update(context: Context, obs: Any, action: Array, timestep: Any) -> Context:
        memory, tokens = tokenizer.record(context.memory, obs, action, timestep)
        tokens = with_noise(tokens, nothing)
        cache = context.cache
        if own:
            cache, _ = read(cache, tokens[:own])
        if tokenizer.end_tokens:
            cache = jax.lax.cond(
                context.step + 1 == tokenizer.family.horizon,
                lambda cache: read(cache, tokens[own:])[0],
                lambda cache: cache,
                cache,
            )
        return context._replace(cache=cache, memory=memory, step=context.step + 1)

    def action_probabilities(context: Context, obs: Any) -> Float[Array, " actions"]:
        _, logits = look(context, obs, nothing)
        if greedy:
            return jax.nn.one_hot(jnp.argmax(logits), logits.shape[0])
        return jax.nn.softmax(logits)

    return Algorithm(
        init=init,
        begin_episode=begin_episode,
        act=act,
        update=update,
        action_probabilities=None if noise else action_probabilities,
        interface=Interface(
            num_actions=tokenizer.family.num_actions,
            observation=tokenizer.family.observation,
            num_steps=tokenizer.num_steps(model.max_tokens),
        ),
    )
