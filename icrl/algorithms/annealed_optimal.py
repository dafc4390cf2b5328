"""An optimal policy behind noise that clears: a learning history without a learner."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Task, require
from icrl.algorithms.base import Algorithm
from icrl.algorithms.optimal import optimal


class Annealed(NamedTuple):
    """Where the annealing stands."""

    policy: Any  # state of the optimal policy
    episode: Int[Array, ""]  # how many have begun


def annealed_optimal(task: Task, *, num_episodes: int) -> Algorithm:
    """Plays uniformly in the first episode and optimally in the last.

    In episode k of K, an action is uniform with probability 1 - (k - 1) / (K - 1), and
    optimal else. Histories of it teach what a learner's would, for a task whose optimal
    policy is known.

    Source: Zisman et al. 2023, arXiv 2312.12275, Section 3 (AD-ε). The noise falls
    linearly in episodes there, too.

    Args:
        task: the task; its optimal policy is read off its gaps.
        num_episodes: K; the policy stays optimal after as many.

    Raises:
        ValueError: if `num_episodes` is below 2.
    """
    require(num_episodes >= 2, "num_episodes must be at least 2", num_episodes)
    best = optimal(task)
    assert best.action_probabilities is not None  # for type checkers
    best_probabilities = best.action_probabilities

    def noise(state: Annealed) -> Float[Array, ""]:
        return jnp.clip(1 - (state.episode - 1) / (num_episodes - 1), 0.0, 1.0)

    def init() -> Annealed:
        return Annealed(policy=best.init(), episode=jnp.zeros((), jnp.int32))

    def begin_episode(key: Array, state: Annealed) -> Annealed:
        return Annealed(
            policy=best.begin_episode(key, state.policy), episode=state.episode + 1
        )

    def probabilities(state: Annealed, obs: Any) -> Float[Array, " actions"]:
        share = noise(state)
        optimal = best_probabilities(state.policy, obs)
        return share / task.num_actions + (1 - share) * optimal

    def act(key: Array, state: Annealed, obs: Any) -> tuple[Annealed, Array]:
        return state, jax.random.categorical(key, jnp.log(probabilities(state, obs)))

    def update(state: Annealed, obs: Any, action: Array, timestep: Any) -> Annealed:
        policy = best.update(state.policy, obs, action, timestep)
        return state._replace(policy=policy)

    return Algorithm(
        init=init,
        begin_episode=begin_episode,
        act=act,
        update=update,
        action_probabilities=probabilities,
    )
