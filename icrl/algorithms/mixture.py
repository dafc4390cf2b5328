"""A different algorithm for every trajectory."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import require
from icrl.algorithms.base import AgentState, Algorithm

_LEAST_PROBABILITY = 1e-30  # of an action that a part would never play


class MixtureState(NamedTuple):
    """The part that plays, every part's state, and how likely each part is."""

    chosen: Int[Array, ""]  # -1 before the first episode
    states: tuple[AgentState, ...]
    log_likelihoods: Float[Array, " parts"]  # less the largest; 0 without probabilities


def mixture(parts: Sequence[Algorithm], weights: Sequence[float]) -> Algorithm:
    """Draws one of `parts` for the whole of a trajectory, as the first episode begins.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 5: contexts of Thompson
    sampling with probability α and of uniform play otherwise.

    `action_probabilities`, there if all parts have theirs, are those of the next action
    given the history alone, not the part that plays: the parts' probabilities, weighted
    by the posterior over the parts. Their product is the probability of a whole
    trajectory, which a distribution ratio and a distilled model need. It holds for
    parts without randomness of their own at the start of an episode, and with no memory
    of having acted (a model's cache).

    Args:
        parts: algorithms for the same family.
        weights: probability of each.

    Raises:
        ValueError: if there is not one weight for each part, a weight is negative or
            they do not sum to 1.
    """
    require(
        len(weights) == len(parts) > 0,
        f"weights must be one for each of the {len(parts)} parts",
        tuple(weights),
    )
    valid = all(w >= 0 for w in weights) and abs(sum(weights) - 1) < 1e-6
    require(valid, "weights must not be negative and must sum to 1", tuple(weights))
    of_parts = [p.action_probabilities for p in parts if p.action_probabilities]
    has_probabilities = len(of_parts) == len(parts)

    def init() -> MixtureState:
        return MixtureState(
            chosen=jnp.full((), -1),
            states=tuple(part.init() for part in parts),
            log_likelihoods=jnp.zeros(len(parts)),
        )

    def begin_episode(key: jax.Array, state: MixtureState) -> MixtureState:
        key_choice, *keys = jax.random.split(key, len(parts) + 1)
        drawn = jax.random.choice(key_choice, len(parts), p=jnp.asarray(weights))
        return state._replace(
            chosen=jnp.where(state.chosen < 0, drawn, state.chosen),
            states=tuple(
                part.begin_episode(k, known)
                for part, k, known in zip(parts, keys, state.states, strict=True)
            ),
        )

    def act(
        key: jax.Array, state: MixtureState, obs: Any
    ) -> tuple[MixtureState, Array]:
        keys = jax.random.split(key, len(parts))
        done = [
            part.act(k, known, obs)
            for part, k, known in zip(parts, keys, state.states, strict=True)
        ]
        states, actions = zip(*done, strict=True)
        return state._replace(states=states), jnp.stack(actions)[state.chosen]

    def probabilities_of_parts(
        state: MixtureState, obs: Any
    ) -> Float[Array, "parts actions"]:
        return jnp.stack(
            [
                of_part(known, obs)
                for of_part, known in zip(of_parts, state.states, strict=True)
            ]
        )

    def update(
        state: MixtureState, obs: Any, action: Array, timestep: Any
    ) -> MixtureState:
        if has_probabilities:
            # Dear for Thompson sampling, but only `action_probabilities` reads it:
            # where that is not asked for, as in training, the compiler leaves it out.
            taken = probabilities_of_parts(state, obs)[:, action]
            log_taken = jnp.log(jnp.maximum(taken, _LEAST_PROBABILITY))
            log_likelihoods = state.log_likelihoods + log_taken
            # only differences count, and those of large numbers lose their digits
            log_likelihoods = log_likelihoods - log_likelihoods.max()
            state = state._replace(log_likelihoods=log_likelihoods)
        states = tuple(
            part.update(known, obs, action, timestep)
            for part, known in zip(parts, state.states, strict=True)
        )
        return state._replace(states=states)

    def action_probabilities(state: MixtureState, obs: Any) -> Float[Array, " actions"]:
        log_prior = jnp.log(jnp.asarray(weights, jnp.float32))
        posterior = jax.nn.softmax(log_prior + state.log_likelihoods)
        return posterior @ probabilities_of_parts(state, obs)

    return Algorithm(
        init=init,
        act=act,
        update=update,
        begin_episode=begin_episode,
        action_probabilities=action_probabilities if has_probabilities else None,
        interface=next((part.interface for part in parts if part.interface), None),
    )
