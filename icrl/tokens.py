"""Token layouts: how an interaction is written for a sequence model.

A layout is one small record, read in two ways that cannot drift apart: `encode` writes
a whole trajectory at once for training, and `in_context` writes the same tokens one by
one while it plays. Decision n is the one taken with n transitions known; it is read
from the logits at token `tokens_per_step * n`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Family, TimeStep, require
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


def query_first(family: Family) -> Layout:
    """DPT's layout: the query state, then one token a transition.

    Token 0 is [s_query, 0, 0, 0]; token j is [s, one-hot a, s', r].

    Of an MDP every state has a context of its own, with the same transitions: there is
    no cache, and no need for the transitions to be a trajectory.

    Source: Lee et al. 2023, arXiv 2306.14892, Section 3 and its code. For bandits the
    state is the constant 1 there too.

    Raises:
        ValueError: if observations are real-valued: they cannot all be asked about.
    """
    require(
        family.num_observations >= 1,
        "query_first plays families with finitely many observations; use step or "
        "interleaved",
        f"{family.name or type(family).__name__} with observations {family.obs_shape}",
    )
    obs_size = _obs_size(family)
    show_action, size = _action_shown(family, by_features=False)

    def query(obs):
        shown = _encode_obs(family, obs)
        return jnp.concatenate([shown, jnp.zeros(size + obs_size + 1)])

    def after(obs, action, timestep):
        return jnp.concatenate(
            [
                _encode_obs(family, obs),
                show_action(obs, action),
                _encode_obs(family, timestep.obs),
                timestep.reward[None],
            ]
        )

    return Layout(
        num_actions=family.num_actions,
        token_size=2 * obs_size + size + 1,
        tokens_per_step=1,
        horizon=family.horizon,
        action_size=size,
        show_action=show_action,
        query=query,
        num_queries=family.num_observations,
        after=after,
    )


def query_each(family: Family) -> Layout:
    """Ours: every token shows a transition and asks about a state.

    A token is [s_query, s, one-hot a, s', r] of the transition before. Where
    `query_first` learns one answer from a context, this learns one from every prefix of
    it, each about another state; and all states are asked with one cache of the data.

    Raises:
        ValueError: if observations are real-valued: they cannot all be asked about.
    """
    plain, query_size = query_first(family), _obs_size(family)

    def ask(query, shown):
        return jnp.concatenate([_encode_obs(family, query), shown])

    return plain._replace(
        token_size=query_size + plain.token_size,
        query=None,
        ask=ask,
        query_size=query_size,
    )


def step(family: Family, *, by_features: bool = False, whole: bool = False) -> Layout:
    """RL²'s layout: one token a step, which carries what the last step brought.

    A token is [obs, one-hot previous action, previous reward, episode-end flag].
    Causal, so that one cache serves the whole life of the agent.

    Source: Duan et al. 2016, arXiv 1611.02779, Section 3.1.

    Args:
        family: what is played.
        by_features: show an action by its features, not by its number: a model need not
            learn to look them up in the observation.
        whole: show the state that the action was taken in, too, and the step of the
            episode that is to come, one-hot. RL² leaves both to the model's memory; one
            without positions can neither look at the token before nor count.

    Raises:
        ValueError: if its actions have no features to be shown by.
    """
    show_action, size = _action_shown(family, by_features=by_features)
    clock_size = family.horizon if whole else 0
    if whole:
        show_action, size = _with_state(family, show_action), size + _obs_size(family)

    def before(obs, previous):
        return jnp.concatenate(
            [
                _encode_obs(family, obs),
                previous.action,
                previous.reward[None],
                previous.done[None],
                jax.nn.one_hot(previous.step, clock_size),
            ]
        )

    return Layout(
        num_actions=family.num_actions,
        token_size=_obs_size(family) + size + 2 + clock_size,
        tokens_per_step=1,
        horizon=family.horizon,
        action_size=size,
        show_action=show_action,
        arm_features=_arm_features(family),
        before=before,
    )


def interleaved(family: Family, *, by_features: bool = False) -> Layout:
    """Lin et al.'s layout: an observation token, then an action-and-reward token.

    They are [obs, 0, 0] and [0, one-hot a, r]. The constant and the raw position that
    the released code appends to both are left to the model (a bias; `positions`).

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 2 and its code.

    Args:
        family: what is played.
        by_features: show an action by its features, as their text does; their code
            shows its number.

    Raises:
        ValueError: if its actions have no features to be shown by.
    """
    obs_size = _obs_size(family)
    show_action, size = _action_shown(family, by_features=by_features)

    def before(obs, previous):
        del previous
        return jnp.concatenate([_encode_obs(family, obs), jnp.zeros(size + 1)])

    def after(obs, action, timestep):
        taken = show_action(obs, action)
        return jnp.concatenate([jnp.zeros(obs_size), taken, timestep.reward[None]])

    return Layout(
        num_actions=family.num_actions,
        token_size=obs_size + size + 1,
        tokens_per_step=2,
        horizon=family.horizon,
        action_size=size,
        show_action=show_action,
        arm_features=_arm_features(family),
        before=before,
        after=after,
    )


LAYOUTS: dict[str, Callable[[Family], Layout]] = {
    "query_first": query_first,
    "query_each": query_each,
    "step": step,
    "step_whole": functools.partial(step, whole=True),
    "step_features": functools.partial(step, by_features=True),
    "interleaved": interleaved,
    "interleaved_features": functools.partial(interleaved, by_features=True),
}


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


def _action_shown(
    family: Family, *, by_features: bool
) -> tuple[Callable[[Any, Array], Float[Array, " shown"]], int]:
    """`show_action` of a layout, and how many numbers it gives."""
    if not by_features:
        size = family.num_actions
        return lambda obs, action: jax.nn.one_hot(action, size), size
    arms = _arm_features(family)
    require(
        arms is not None,
        "a layout by features needs a family whose observation is the arms' features",
        family.name or type(family).__name__,
    )
    assert arms is not None  # for type checkers
    return lambda obs, action: obs[action], arms[1]


def _with_state(
    family: Family, show_action: Callable[[Any, Array], Float[Array, " shown"]]
) -> Callable[[Any, Array], Float[Array, " shown"]]:
    """Shows an action and the observation that it answered."""
    return lambda obs, action: jnp.concatenate(
        [show_action(obs, action), _encode_obs(family, obs)]
    )


def _arm_features(family: Family) -> tuple[int, int] | None:
    """(arms, dim) if the family's observation is the features of its arms."""
    shape = family.obs_shape
    return (*shape,) if hasattr(family, "features") and len(shape) == 2 else None


def _obs_size(family: Family) -> int:
    """Numbers that a token shows an observation by."""
    features = family.obs_features()
    if features is not None:
        return features.shape[1]
    return family.num_observations or math.prod(family.obs_shape)


def _encode_obs(family: Family, obs: Int[Array, "..."] | Float[Array, "..."]) -> Array:
    """Its features, or one-hot, where observations are integers; else flat."""
    features = family.obs_features()
    if features is not None:
        return jnp.asarray(features, jnp.float32)[obs]
    if family.num_observations:
        return jax.nn.one_hot(obs, family.num_observations)
    return obs.reshape(-1)
