"""Where agents and demonstrations went in one room."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from envs import grid
from envs.base import Key
from icrl.agents import Agent
from icrl.evaluation.returns import informed
from icrl.pretraining import Collect
from icrl.rollout import rollout


def walks(
    key: Key, task: Any, demonstrations: Mapping[str, Collect], name: str, agent: Agent
) -> dict[str, Int[np.ndarray, "_ xy"]]:
    """Positions along each demonstration, and of an agent that has seen the first.

    Args:
        key: draws noise and choices.
        task: a square room.
        demonstrations: by name.
        name: of the agent's walk, which stands instead of the first demonstration.
        agent: its first seed walks.
    """
    model = jax.tree.map(lambda leaf: leaf[0], agent.models)
    first = next(iter(demonstrations))

    @jax.jit
    def walk(model: Any) -> Any:
        number = 2 * len(demonstrations) + 2
        *keys, key_task, key_agent = jax.random.split(key, number)
        pairs = zip(keys[::2], keys[1::2], strict=True)
        trajectories = {
            data: collect(*pair, task)
            for (data, collect), pair in zip(demonstrations.items(), pairs, strict=True)
        }
        learner = informed(agent.make(model, task), trajectories.pop(first))
        trajectories[name] = rollout(key_task, key_agent, task, learner)
        return {
            walker: grid.position_of(
                jnp.append(played.obs, played.final_obs), task.size
            )
            for walker, played in trajectories.items()
        }

    return jax.device_get(walk(model))
