"""The layouts there are: the literature's ways to write an interaction, and ours."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Family, require
from icrl.tokenizers.tokens import Layout


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
