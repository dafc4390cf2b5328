"""What evaluation takes: an algorithm, or trained models that are played."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Task
from icrl.agents.in_context import in_context
from icrl.algorithms.base import Algorithm
from icrl.rollout import Trajectory, predictions
from icrl.tokenizers.tokens import Layout, decisions, encode

Law = Float[Array, "decisions actions"]


class Agent(NamedTuple):
    """Something that can be evaluated.

    Attributes:
        make: `(model, task) -> Algorithm`, called inside the jitted function.
        models: trained models stacked over seeds, or None for an algorithm.
        parallel_law: `(model, trajectory) -> Float[decisions, actions]`, where there
            is a faster way than one prefix after another.
    """

    make: Callable[[Any, Task], Algorithm]
    models: Any = None
    parallel_law: Callable[[Any, Trajectory], Law] | None = None

    @property
    def num_seeds(self) -> int:
        """Training seeds; 1 for an algorithm without any."""
        leaves = jax.tree.leaves(self.models)
        return leaves[0].shape[0] if leaves else 1

    def law(self, model: Any, task: Task, trajectory: Trajectory) -> Law:
        """What it would do after every prefix of a trajectory, as probabilities.

        Raises:
            ValueError: if the algorithm has no `action_probabilities`.
        """
        if self.parallel_law is not None:
            return self.parallel_law(model, trajectory)
        num_episodes = trajectory.action.shape[0] // task.horizon
        algorithm = self.make(model, task)
        return predictions(algorithm, trajectory, num_episodes=num_episodes)


def fixed(algorithm: Algorithm) -> Agent:
    """An algorithm that does not depend on the task."""
    return Agent(lambda model, task: algorithm)


def of_task(make: Callable[[Task], Algorithm]) -> Agent:
    """An algorithm made from the task, like `optimal`."""
    return Agent(lambda model, task: make(task))


def trained(
    models: Any,
    layout: Layout,
    *,
    greedy: bool = False,
    num_episodes: int | None = None,
) -> Agent:
    """Trained models, stacked over seeds, played in context.

    Args:
        models: with a leading axis of seeds.
        layout: that they were trained with.
        greedy: play the likeliest action instead of sampling.
        num_episodes: whole episodes in the context, as in `in_context`.
    """

    def law(model: Any, trajectory: Trajectory) -> Law:
        logits = decisions(layout, model(encode(layout, trajectory)))
        if greedy:
            return jax.nn.one_hot(jnp.argmax(logits, axis=-1), layout.num_actions)
        return jax.nn.softmax(logits)

    def make(model: Any, task: Task) -> Algorithm:
        del task
        return in_context(model, layout, greedy=greedy, num_episodes=num_episodes)

    # where every state has a context of its own, no single pass answers for all
    return Agent(
        make, models, law if layout.num_queries == 1 and layout.ask is None else None
    )
