"""Exact posteriors over finitely many noise-free tasks: those not yet ruled out.

Where nothing is random, a transition is impossible under a task or certain, so a
uniform prior stays uniform over what is left of it. All that must be remembered of an
episode is a mask.

Tasks may be made of parts, such as a goal and what actions mean. Where a transition is
impossible under a task as soon as it is so under one of its parts, every part has a
mask of its own, and what is left is the product: 100 goals and 120 meanings are 220
bits, not 12,000.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from envs.base import require
from icrl.algorithms.base import Algorithm

Masks = PyTree[Bool[Array, " _"]]  # of tasks; or of each of their parts
RulesOut = Callable[[Any, Array, Any], Masks]
Probabilities = Callable[[Masks, Any], Float[Array, " actions"]]


class RuledOut(NamedTuple):
    """The tasks that the data of each episode rules out; at least one is left."""

    past: PyTree[Bool[Array, "episodes _"]]  # oldest first; or all in one
    current: Masks  # the episode that is being played


def version_space(
    probabilities: Probabilities,
    prior: Masks,
    rules_out: RulesOut,
    *,
    episodes: int | None,
    in_episode: bool,
) -> Algorithm:
    """Plays the best action of a task drawn from the posterior, afresh at every step.

    Once the data rules out all that the prior holds, the tasks outside it are as likely
    as each other. `rules_out` and `probabilities` have masks of the shape of `prior`.

    Args:
        probabilities: `(tasks left, obs) -> Float[actions]`, of the best action.
        prior: the tasks that are possible beforehand, all as likely.
        rules_out: `(obs, action, timestep)`: those under which a transition cannot be.
        episodes: whole past episodes that are remembered; all if None. What `update`
            is told before the first episode counts as one.
        in_episode: whether the episode that is being played counts, too.

    Raises:
        ValueError: if `episodes` is below 1.
    """
    kept = 1 if episodes is None else episodes
    require(kept >= 1, "episodes must be at least 1", kept)
    nothing = jax.tree.map(jnp.zeros_like, prior)

    def init() -> RuledOut:
        past = jax.tree.map(lambda none: jnp.stack([none] * kept), nothing)
        return RuledOut(past=past, current=nothing)

    def begin_episode(key: Array, state: RuledOut) -> RuledOut:
        del key

        def remember(past: Array, current: Array) -> Array:
            if episodes is None:
                return past | current[None]
            return jnp.concatenate([past[1:], current[None]])

        past = jax.tree.map(remember, state.past, state.current)
        return RuledOut(past=past, current=nothing)

    def update(state: RuledOut, obs: Any, action: Array, timestep: Any) -> RuledOut:
        def join(current: Array, out: Array) -> Array:
            # The last one left is certain. A goal that pays once says nothing after.
            return jnp.where((current | out).all(), current, current | out)

        out = rules_out(obs, action, timestep)
        return state._replace(current=jax.tree.map(join, state.current, out))

    def likely(past: Array, current: Array, prior: Array) -> Array:
        out = past.any(0)
        left = ~(out | current) if in_episode else ~out
        left = left | ~left.any()  # no task is as the data says: it says nothing
        known = left & prior
        return jnp.where(known.any(), known, left)

    def action_probabilities(state: RuledOut, obs: Any) -> Float[Array, " actions"]:
        left = jax.tree.map(likely, state.past, state.current, prior)
        return probabilities(left, obs)

    def act(key: Array, state: RuledOut, obs: Any) -> tuple[RuledOut, Array]:
        return state, jax.random.categorical(
            key, jnp.log(action_probabilities(state, obs))
        )

    return Algorithm(
        init=init,
        begin_episode=begin_episode,
        act=act,
        update=update,
        action_probabilities=action_probabilities,
    )


def vote(
    best_actions: Int[Array, "tasks observations"], num_actions: int
) -> Probabilities:
    """The probabilities of the best action where every task that is left has one vote.

    Args:
        best_actions: of each task, at every observation.
        num_actions: how many actions there are.
    """

    def probabilities(
        left: Bool[Array, " tasks"], obs: Any
    ) -> Float[Array, " actions"]:
        plays = best_actions[:, obs, None] == jnp.arange(num_actions)[None]
        counts = (left[:, None] & plays).sum(0)
        return counts / counts.sum()

    return probabilities
