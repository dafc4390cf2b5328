"""Token layouts: how an interaction is written for a sequence model.

A layout is one small record, read in two ways that cannot drift apart: `encode` writes
a whole trajectory at once for training, and `in_context` writes the same tokens one by
one while it plays. Decision n is the one taken with n transitions known; it is read
from the logits at token `tokens_per_step * n`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import TimeStep
from icrl.rollout import Trajectory

Token = Float[Array, " token"]


class Transition(NamedTuple):
    """The step before, as a token shows it; all zeros before the first one."""

    action: Float[Array, " shown"]  # as the layout shows it: one-hot, or its features
    reward: Float[Array, ""]
    done: Float[Array, ""]  # 1 where the episode ended with it
    step: Int[Array, ""]  # steps taken since, in the episode that runs now


class Layout(NamedTuple):
    """How an interaction becomes tokens.

    Attributes:
        num_actions: actions that logits are for.
        token_size: features of a token.
        tokens_per_step: tokens that one environment step adds.
        horizon: steps in an episode.
        action_size: numbers that a token shows an action by.
        show_action: `(obs, action) -> Float[shown]`, how a token shows an action.
        arm_features: (arms, dim) of what stands first in every token that decides, if
            that is the features of all arms.
        query: `obs -> token`, which stands before everything, if any: what is decided
            is the action there.
        ask: `(query, token of `after`) -> token`, where every token asks about a state
            of its own besides showing a transition.
        query_size: numbers of a token that such a question takes.
        num_queries: how many observations may be asked about.
        before: `(obs, previous) -> token` fed before acting, if any.
        after: `(obs, action, timestep) -> token` fed once the step is over, if any.
    """

    num_actions: int
    token_size: int
    tokens_per_step: int
    horizon: int
    action_size: int
    show_action: Callable[[Any, Array], Float[Array, " shown"]]
    arm_features: tuple[int, int] | None = None
    query: Callable[[Any], Token] | None = None
    ask: Callable[[Any, Array], Token] | None = None
    query_size: int = 0
    num_queries: int = 1
    before: Callable[[Any, Transition], Token] | None = None
    after: Callable[[Any, Array, TimeStep], Token] | None = None

    def num_tokens(self, num_steps: int) -> int:
        """Tokens up to the decision that knows `num_steps` transitions."""
        return self.tokens_per_step * num_steps + 1


def encode(
    layout: Layout, trajectory: Trajectory, query: Any = 0
) -> Float[Array, "tokens token"]:
    """Writes a trajectory of `time` steps, up to the decision that knows all of it.

    What an episode shows after it has terminated is written as zeros.

    Args:
        layout: how.
        trajectory: one life.
        query: the observation that every decision is about, in a layout that asks once;
            those that each is about, [decisions], in one that asks at every token.

    Returns:
        `layout.num_tokens(time)` tokens.
    """
    columns = []
    before = None
    if layout.before is not None:
        before = jax.vmap(layout.before)(*_before_each_decision(layout, trajectory))
        columns.append(before[:-1])
    if layout.after is not None:
        after = jax.vmap(layout.after)(
            trajectory.obs, trajectory.action, trajectory.timestep
        )
        after = jnp.where(trajectory.valid[:, None], after, 0.0)
        if layout.ask is not None:
            shown = jnp.concatenate([jnp.zeros_like(after[:1]), after])
            queries = jnp.broadcast_to(query, shown.shape[0])
            return jax.vmap(layout.ask)(queries, shown)
        columns.append(after)
    body = jnp.stack(columns, axis=1).reshape(-1, layout.token_size)
    if layout.query is not None:
        return jnp.concatenate([layout.query(jnp.asarray(query))[None], body])
    assert before is not None  # a layout without a query reads what comes before
    return jnp.concatenate([body, before[-1:]])


def decisions(
    layout: Layout, logits: Float[Array, "tokens actions"]
) -> Float[Array, "decisions actions"]:
    """The logits that decide: one row for each number of transitions known."""
    return logits[:: layout.tokens_per_step]


def no_transition(layout: Layout) -> Transition:
    """What stands for the step before the first."""
    return Transition(
        action=jnp.zeros(layout.action_size),
        reward=jnp.zeros(()),
        done=jnp.zeros(()),
        step=jnp.zeros((), jnp.int32),
    )


def transition(
    layout: Layout,
    obs: Any,
    action: Array,
    timestep: TimeStep,
    valid: Array,
    step: Int[Array, ""],
) -> Transition:
    """The step just taken, as the next token shows it: zeros if it was not valid.

    Args:
        layout: how it is shown.
        obs: what the action answered.
        action: taken.
        timestep: what followed.
        valid: whether the episode had not terminated.
        step: of the episode, counted from 0.
    """
    shown = valid.astype(jnp.float32)
    return Transition(
        action=shown * layout.show_action(obs, action),
        reward=shown * timestep.reward,
        done=shown * timestep.done.astype(jnp.float32),
        step=(step + 1) % layout.horizon,
    )


def _before_each_decision(
    layout: Layout, trajectory: Trajectory
) -> tuple[Any, Transition]:
    """The observation and the previous transition at every decision, the last too."""
    taken = jax.vmap(functools.partial(transition, layout))(
        trajectory.obs,
        trajectory.action,
        trajectory.timestep,
        trajectory.valid,
        jnp.arange(trajectory.action.shape[0]) % layout.horizon,
    )
    previous = jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest]),
        no_transition(layout),
        taken,
    )
    obs = jax.tree.map(
        lambda shown, last: jnp.concatenate([shown, last[None]]),
        trajectory.obs,
        trajectory.final_obs,
    )
    return obs, previous
