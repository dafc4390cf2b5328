"""A trained sequence model, seen as a learning algorithm."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from icrl.algorithms.base import Algorithm
from icrl.models.base import SequenceModel
from icrl.tokens import Layout, Transition, no_transition, transition


class Context(NamedTuple):
    """All that a model in play remembers."""

    cache: Any  # the model's: it holds every token so far
    logits: Float[Array, " actions"]  # after the last token
    previous: Transition
    alive: Bool[Array, ""]  # the episode has not terminated


def in_context(
    model: SequenceModel, layout: Layout, *, greedy: bool = False
) -> Algorithm:
    """Plays a model's predictions; learning is nothing but appending to its context.

    One model call for every token, whatever the length of the context. Make it inside
    the jitted function that receives the model as an argument: closed over, the weights
    would be constants, and every checkpoint would compile anew.

    Args:
        model: the trained model.
        layout: the layout it was trained with.
        greedy: play the likeliest action instead of sampling from the softmax at
            temperature 1, which is what DPT and Lin et al. do online.
    """

    def feed(context: Context, token: Array) -> Context:
        cache, logits = model.step(context.cache, token)
        return context._replace(cache=cache, logits=logits)

    def look(context: Context, obs: Any) -> Context:
        if layout.before is None:
            return context
        return feed(context, layout.before(obs, context.previous))

    def init() -> Context:
        context = Context(
            cache=model.init_cache(),
            logits=jnp.zeros(layout.num_actions),
            previous=no_transition(layout),
            alive=jnp.ones((), bool),
        )
        return context if layout.query is None else feed(context, layout.query())

    def begin_episode(key: Array, context: Context) -> Context:
        del key
        return context._replace(alive=jnp.ones((), bool))

    def act(key: Array, context: Context, obs: Any) -> tuple[Context, Array]:
        context = look(context, obs)
        if greedy:
            return context, jnp.argmax(context.logits)
        return context, jax.random.categorical(key, context.logits)

    def update(context: Context, obs: Any, action: Array, timestep: Any) -> Context:
        if layout.after is not None:
            token = layout.after(obs, action, timestep)
            context = feed(context, jnp.where(context.alive, token, 0.0))
        return context._replace(
            previous=transition(layout, obs, action, timestep, context.alive),
            alive=context.alive & ~timestep.terminated,
        )

    def action_probabilities(context: Context, obs: Any) -> Array:
        logits = look(context, obs).logits
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
