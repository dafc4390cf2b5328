"""Exact posteriors over finitely many noise-free tasks: those not yet ruled out.

Where nothing is random, a transition is impossible under a task or certain, so a
uniform prior stays uniform over what is left of it. All that must be remembered of an
episode is a mask.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import require
from icrl.algorithms.base import Algorithm

RulesOut = Callable[[Any, Array, Any], Bool[Array, " tasks"]]


class RuledOut(NamedTuple):
    """The tasks that episodes spoke against; each left one at least."""

    past: Bool[Array, "episodes tasks"]  # remembered ones, oldest first; or all in one
    current: Bool[Array, " tasks"]  # the episode that is being played


def version_space(
    best_actions: Int[Array, "tasks observations"],
    prior: Bool[Array, " tasks"],
    rules_out: RulesOut,
    *,
    num_actions: int,
    episodes: int | None,
    in_episode: bool,
) -> Algorithm:
    """Plays the best action of a task drawn from the posterior, afresh at every step.

    Once the data rules out all that the prior holds, the tasks outside it are as likely
    as each other.

    Args:
        best_actions: of each task, at every observation.
        prior: the tasks that are possible beforehand, all as likely.
        rules_out: `(obs, action, timestep) -> Bool[tasks]`: those under which a
            transition cannot be.
        num_actions: how many actions there are.
        episodes: whole past episodes that are remembered; all if None. What `update`
            is told before the first episode counts as one.
        in_episode: whether the episode that is being played counts, too.

    Raises:
        ValueError: if `episodes` is below 1.
    """
    kept = 1 if episodes is None else episodes
    require(kept >= 1, "episodes must be at least 1", kept)
    num_tasks = best_actions.shape[0]

    def init() -> RuledOut:
        past = jnp.zeros((kept, num_tasks), bool)
        return RuledOut(past=past, current=jnp.zeros(num_tasks, bool))

    def begin_episode(key: Array, state: RuledOut) -> RuledOut:
        del key
        if episodes is None:
            past = state.past | state.current[None]
        else:
            past = jnp.concatenate([state.past[1:], state.current[None]])
        return RuledOut(past=past, current=jnp.zeros_like(state.current))

    def update(state: RuledOut, obs: Any, action: Array, timestep: Any) -> RuledOut:
        current = state.current | rules_out(obs, action, timestep)
        # The last one left is certain. A goal that pays once says nothing after that.
        return state._replace(current=jnp.where(current.all(), state.current, current))

    def law(state: RuledOut, obs: Any) -> Float[Array, " actions"]:
        out = state.past.any(0)
        left = ~(out | state.current) if in_episode else ~out
        known = left & prior
        weights = jnp.where(known.any(), known, left)
        plays = best_actions[:, obs, None] == jnp.arange(num_actions)[None]
        counts = (weights[:, None] & plays).sum(0)
        return counts / counts.sum()

    def act(key: Array, state: RuledOut, obs: Any) -> tuple[RuledOut, Array]:
        return state, jax.random.categorical(key, jnp.log(law(state, obs)))

    return Algorithm(
        init=init,
        begin_episode=begin_episode,
        act=act,
        update=update,
        action_probabilities=law,
    )
