"""DPT's context distribution: a different random policy for every task."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, Task, require, require_gaps
from icrl.algorithms.base import Algorithm
from icrl.algorithms.registry import register

CODE_WEIGHTS = tuple(i / 10 for i in range(11))  # 0.0, 0.1, ..., 1.0
PAPER_WEIGHTS = CODE_WEIGHTS[1:]  # 0.1, ..., 1.0


@register("dirichlet_point_mass")
def dirichlet_point_mass(
    family: Family,
    task: Task | None = None,
    *,
    weights: Sequence[float] = CODE_WEIGHTS,
    expert_biased: bool = False,
) -> Algorithm:
    """Draws action probabilities once per episode, and every action from them.

    They are (1 - w) Dirichlet(1, ..., 1) + w (one action), w uniform over `weights`.

    Source: Lee et al. 2023, arXiv 2306.14892, Section 5 and its code (`rollin_bandit`).
    The code's weights, 0.0 to 1.0, are the default; the paper writes 0.1 to 1.0, which
    are `PAPER_WEIGHTS`.

    Args:
        family: what it plays.
        task: the task, for `expert_biased` alone; made inside the vmapped function
            that holds it.
        weights: of the single action.
        expert_biased: whether the single action is the task's best one (the lowest of
            them), rather than a uniformly random one.

    Raises:
        ValueError: if a weight is not a probability or there is none, or if a task is
            missing for `expert_biased`.
    """
    require(len(weights) > 0, "weights must not be empty", weights)
    require(all(0 <= w <= 1 for w in weights), "a weight must lie in [0, 1]", weights)
    require(not expert_biased or task is not None, "expert_biased needs a task", task)
    num_actions = family.num_actions

    def begin_episode(key: jax.Array, state: Array) -> Float[Array, " actions"]:
        del state
        key_weight, key_dirichlet, key_action = jax.random.split(key, 3)
        weight = jax.random.choice(key_weight, jnp.asarray(weights, jnp.float32))
        spread = jax.random.exponential(key_dirichlet, (num_actions,))
        if expert_biased:
            assert task is not None
            first, _ = task.reset(key_action)
            single = jnp.argmin(require_gaps("expert_biased", task, first))
        else:
            single = jax.random.randint(key_action, (), 0, num_actions)
        point = jax.nn.one_hot(single, num_actions)
        return (1 - weight) * spread / spread.sum() + weight * point

    def act(key: jax.Array, state: Array, obs: Any) -> tuple[Array, Array]:
        del obs
        return state, jax.random.categorical(key, jnp.log(state))

    return Algorithm(
        init=lambda: jnp.full(num_actions, 1 / num_actions),
        act=act,
        update=lambda state, *_: state,
        begin_episode=begin_episode,
        action_probabilities=lambda state, obs: state,
    )
