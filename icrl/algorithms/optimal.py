"""The optimal policy of a known task: zero regret, and DPT's expert."""

import jax
import jax.numpy as jnp

from envs.base import Task, require_gaps, require_state
from icrl.algorithms.base import Algorithm


def optimal(task: Task) -> Algorithm:
    """Plays an action of least gap; ties go to the lowest.

    It alone is made from the task, inside the vmapped function that holds the task. Its
    state is the step of the episode.

    Raises:
        ValueError: as it plays, if the task has no gaps, or hides its state.
    """

    def best(step, obs):
        state = require_state("optimal", task, step, obs)
        return jnp.argmin(require_gaps("optimal", task, state))

    def act(key, step, obs):
        del key
        return step, best(step, obs)

    return Algorithm(
        init=lambda: jnp.zeros((), jnp.int32),
        act=act,
        update=lambda step, *_: step + 1,
        begin_episode=lambda key, step: jnp.zeros_like(step),
        action_probabilities=lambda step, obs: jax.nn.one_hot(
            best(step, obs), task.num_actions
        ),
    )
