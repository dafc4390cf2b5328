"""What evaluation takes: an algorithm, or trained models that are played."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Task
from envs.registry import unknown
from icrl.agents.in_context import in_context
from icrl.agents.query_table import query_table
from icrl.algorithms.base import Algorithm
from icrl.replay import predictions
from icrl.rollout import Trajectory
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.encoding import decisions, encode

Probabilities = Float[Array, "decisions actions"]
AGENTS: dict[str, Callable[..., Algorithm]] = {  # how a model is played
    "in_context": in_context,
    "query_table": query_table,
}


class Agent(NamedTuple):
    """Something that can be evaluated.

    Attributes:
        make: `(model, task) -> Algorithm`, called inside the jitted function.
        models: trained models stacked over seeds, or None for an algorithm.
        parallel_probabilities: `(model, trajectory) -> Float[decisions, actions]`,
            where there is a faster way than one prefix after another.
        written: whether its one model was written and not trained: it is no seed.
    """

    make: Callable[[Any, Task], Algorithm]
    models: Any = None
    parallel_probabilities: Callable[[Any, Trajectory], Probabilities] | None = None
    written: bool = False

    @property
    def num_seeds(self) -> int:
        """Training seeds; 1 for an algorithm without any."""
        leaves = jax.tree.leaves(self.models)
        return leaves[0].shape[0] if leaves else 1

    @property
    def is_trained(self) -> bool:
        """Whether it has models, whose seeds are its rows in a table of scores."""
        return bool(jax.tree.leaves(self.models)) and not self.written

    def action_probabilities(
        self, model: Any, task: Task, trajectory: Trajectory
    ) -> Probabilities:
        """Its action probabilities after every prefix of a trajectory.

        Raises:
            ValueError: if the algorithm has no `action_probabilities`.
        """
        if self.parallel_probabilities is not None:
            return self.parallel_probabilities(model, trajectory)
        num_episodes = trajectory.action.shape[0] // task.horizon
        algorithm = self.make(model, task)
        return predictions(algorithm, trajectory, num_episodes=num_episodes)


def fixed(algorithm: Algorithm) -> Agent:
    """An algorithm that does not depend on the task."""
    return Agent(lambda model, task: algorithm)


def as_agent(agent: Agent | Algorithm | Callable[[Task], Algorithm]) -> Agent:
    """An agent as it is, an algorithm as `fixed`, a function of a task as `of_task`."""
    if isinstance(agent, Agent):
        return agent
    return fixed(agent) if isinstance(agent, Algorithm) else of_task(agent)


def of_task(make: Callable[[Task], Algorithm]) -> Agent:
    """An algorithm made from the task, like `optimal`."""
    return Agent(lambda model, task: make(task))


def trained(
    models: Any,
    tokenizer: Tokenizer,
    *,
    agent: str = "in_context",
    greedy: bool = False,
    **options: Any,
) -> Agent:
    """Trained models, stacked over seeds, and how they are played.

    Args:
        models: with a leading axis of seeds.
        tokenizer: that they were trained with.
        agent: one of `AGENTS`, as the recipe names it.
        greedy: play the likeliest action instead of sampling.
        options: of the agent: `num_episodes` of `query_table`.

    Raises:
        ValueError: if there is no such agent.
    """
    require_agent(agent)

    def probabilities(model: Any, trajectory: Trajectory) -> Probabilities:
        logits = decisions(tokenizer, model(encode(tokenizer, trajectory)))
        if greedy:
            return jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
        return jax.nn.softmax(logits)

    def make(model: Any, task: Task) -> Algorithm:
        del task
        return AGENTS[agent](model, tokenizer, greedy=greedy, **options)

    # where every state is a query of its own, no single pass answers for all
    return Agent(make, models, probabilities if agent == "in_context" else None)


def require_agent(name: str) -> None:
    """Raises `ValueError` unless a model can be played by this agent."""
    if name not in AGENTS:
        raise unknown("agent", name, AGENTS)
