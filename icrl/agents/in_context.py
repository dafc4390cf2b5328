"""A trained sequence model, seen as a learning algorithm."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.base import require
from icrl.agents.query_table import ask_states
from icrl.algorithms.base import Algorithm
from icrl.models.base import SequenceModel
from icrl.tokenizers.tokens import Layout, Transition, no_transition, transition


class Context(NamedTuple):
    """All that a model in play remembers."""

    cache: Any  # the model's: it holds every token so far
    logits: Float[Array, " actions"]  # after the last token
    previous: Transition
    alive: Bool[Array, ""]  # the episode has not terminated


def in_context(
    model: SequenceModel,
    layout: Layout,
    *,
    greedy: bool = False,
    num_episodes: int | None = None,
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
        num_episodes: whole episodes that a layout which asks about states keeps in its
            context; as many as the model was made for if None.

    Raises:
        ValueError: if `num_episodes` is given for another layout, or is too many.
    """
    if layout.num_queries > 1 or layout.ask is not None:
        return ask_states(model, layout, greedy=greedy, num_episodes=num_episodes)
    require(num_episodes is None, "num_episodes needs a layout that asks", num_episodes)

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
        return (
            context
            if layout.query is None
            else feed(context, layout.query(jnp.zeros((), jnp.int32)))
        )

    def begin_episode(key: Array, context: Context) -> Context:
        del key
        previous = context.previous._replace(step=jnp.zeros((), jnp.int32))
        return context._replace(previous=previous, alive=jnp.ones((), bool))

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
            previous=transition(
                layout, obs, action, timestep, context.alive, context.previous.step
            ),
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
