"""How far an agent's action probabilities are from its target's at every decision."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from envs.base import Key, Task, require
from envs.splits import TaskSet
from icrl.agents import Agent, as_agent
from icrl.algorithms.base import Algorithm
from icrl.evaluation import over_seeds_and_tasks, play, score_agents
from icrl.evaluation.playing import task_ids, tasks_hash
from icrl.evaluation.scores import Scores
from icrl.rollout import Trajectory

TASKS_AT_ONCE = 500  # histories side by side, where none are asked for
LEAST_PROBABILITY = 1e-30  # float32 has no logarithm, and no quotient, far below

PerDecision = Float[np.ndarray, "seeds tasks decisions"]
Probabilities = Float[Array, "*batch actions"]
Measures = Float[Array, " measures_and_decisions"]


def kullback_leibler(p: Probabilities, q: Probabilities) -> Float[Array, "*batch"]:
    """Σ p log(p / q) over actions, nats; 0 log 0 = 0, and q is floored at 1e-30."""
    return jnp.sum(xlogy(p, p / jnp.maximum(q, LEAST_PROBABILITY)), axis=-1)


def hellinger_squared(p: Probabilities, q: Probabilities) -> Float[Array, "*batch"]:
    """Σ (√p - √q)² over actions, in [0, 2]: the paper's H², without a factor of ½."""
    return jnp.sum((jnp.sqrt(p) - jnp.sqrt(q)) ** 2, axis=-1)


def total_variation(p: Probabilities, q: Probabilities) -> Float[Array, "*batch"]:
    """½ Σ |p - q| over actions, in [0, 1]."""
    return jnp.sum(jnp.abs(p - q), axis=-1) / 2


def chi_squared(p: Probabilities, q: Probabilities) -> Float[Array, "*batch"]:
    """Σ (p - q)² / q over actions: Σ p² / q is one more; q is floored at 1e-30."""
    return jnp.sum((p - q) ** 2 / jnp.maximum(q, LEAST_PROBABILITY), axis=-1)


class Divergences(NamedTuple):
    """From the target's probabilities p to the agent's q, after n known transitions.

    All are 0 where the episode is over. TV ≤ H, and H² ≤ KL ≤ log(1 + χ²).
    """

    kl: PerDecision  # KL(target ‖ agent), nats
    hellinger_squared: PerDecision  # in [0, 2]
    tv: PerDecision  # in [0, 1]
    chi_squared: PerDecision  # Σ p² / q - 1


def divergences(
    key: Key,
    tasks: TaskSet,
    agent: Agent,
    target: Agent,
    histories: Agent | None,
    *,
    num_tasks: int,
    tasks_at_once: int = TASKS_AT_ONCE,
) -> Divergences:
    """How far an agent is from its target after every prefix of some histories.

    Args:
        key: draws tasks, noise and choices, as in `evaluation.online`: the same key
            gives the same histories.
        tasks: where tasks come from.
        agent: trained models, or an algorithm.
        target: what the agent should equal: a fixed algorithm, or one made from the
            task.
        histories: the behaviour policy, likewise, one history a task; None is the agent
            itself, each training seed on its own histories.
        num_tasks: histories.
        tasks_at_once: tasks side by side; bounds memory.

    Raises:
        ValueError: if the target or the behaviour policy is a trained model, or if the
            agent or the target has no `action_probabilities`.
    """
    return _divergences(
        key, tasks, {"": agent}, target, histories, num_tasks, tasks_at_once
    )[""]


def _divergences(
    key: Key,
    tasks: TaskSet,
    agents: Mapping[str, Agent],
    target: Agent,
    histories: Agent | None,
    num_tasks: int,
    tasks_at_once: int,
) -> dict[str, Divergences]:
    """The same for several agents; histories and the target's answers are shared."""
    require_algorithm("target", target)
    if histories is not None:
        require_algorithm("the behaviour policy", histories)

    def targeted(task: Task, trajectory: Trajectory) -> tuple[Any, ...]:
        p = target.action_probabilities(None, task, trajectory)
        return task, trajectory, p

    def history(index: Array) -> tuple[Any, ...] | None:
        if histories is None:
            return None
        return targeted(*play(key, tasks, histories, None, index))

    def score(agent: Agent, model: Any, index: Array, given: Any) -> Measures:
        if given is None:
            given = targeted(*play(key, tasks, agent, model, index))
        task, trajectory, p = given
        q = agent.action_probabilities(model, task, trajectory)
        return _measures(p, q, trajectory)

    sizes = num_tasks, tasks_at_once
    scores = score_agents(key, tasks, agents, score, *sizes, shared=history)
    return {name: _split(found) for name, found in scores.items()}


def disagreement(
    key: Key,
    tasks: TaskSet,
    one: Agent,
    other: Agent,
    histories: Agent,
    *,
    num_tasks: int,
    tasks_at_once: int = TASKS_AT_ONCE,
) -> Divergences:
    """How far two trained agents are from each other, seed by seed.

    As `divergences` from `other` to `one`, each training seed of one beside the same
    seed of the other.

    Raises:
        ValueError: if the agents differ in their number of seeds, or the behaviour
            policy is a trained model.
    """
    seeds = one.num_seeds, other.num_seeds
    require(seeds[0] == seeds[1], "both agents must have as many seeds", seeds)
    require_algorithm("the behaviour policy", histories)
    both = Agent(
        lambda model, task: one.make(model[0], task), (one.models, other.models)
    )

    def score(model: Any, index: Array) -> Measures:
        task, trajectory = play(key, tasks, histories, None, index)
        p = other.action_probabilities(model[1], task, trajectory)
        q = one.action_probabilities(model[0], task, trajectory)
        return _measures(p, q, trajectory)

    return _split(over_seeds_and_tasks(both, score, num_tasks, tasks_at_once))


def _split(found: np.ndarray) -> Divergences:
    """Measures that stand one after the other, by name."""
    return Divergences(*np.split(found, len(Divergences._fields), axis=-1))


def _measures(p: Array, q: Array, trajectory: Trajectory) -> Measures:
    """All measures, one after the other: [measures * decisions]."""
    measures = (kullback_leibler, hellinger_squared, total_variation, chi_squared)
    valid = jnp.append(trajectory.valid, trajectory.valid[-1])
    return jnp.concatenate([jnp.where(valid, of(p, q), 0.0) for of in measures])


class Distances(NamedTuple):
    """Of several agents from one target, at every decision that is carried out."""

    kl: Scores  # nats
    tv: Scores  # in [0, 1]


def distances(
    key: Key,
    tasks: TaskSet,
    agents: Mapping[str, Agent | Algorithm],
    target: Agent | Algorithm,
    histories: Agent | Algorithm | None = None,
    *,
    num_tasks: int,
) -> Distances:
    """How far agents are from their target, on the same histories: see `divergences`.

    The decision after the last step is left out: it is not carried out.
    """
    played = None if histories is None else as_agent(histories)
    made = {name: as_agent(agent) for name, agent in agents.items()}
    found = _divergences(
        key, tasks, made, as_agent(target), played, num_tasks, TASKS_AT_ONCE
    )
    learned = frozenset(name for name, agent in made.items() if agent.is_trained)
    return as_distances(key, tasks, found, learned, num_tasks)


def as_distances(
    key: Key,
    tasks: TaskSet,
    found: Mapping[str, Divergences],
    learned: frozenset[str],
    num_tasks: int,
) -> Distances:
    """Measured divergences as tables of scores, by agent."""
    names = task_ids(tasks, num_tasks), tasks_hash(key, tasks, num_tasks)
    return Distances(
        *(
            Scores(
                {name: getattr(one, measure)[..., :-1] for name, one in found.items()},
                learned,
                *names,
            )
            for measure in Distances._fields
        )
    )


def require_algorithm(what: str, agent: Agent) -> None:
    """Raises `ValueError` if an agent is a trained model."""
    require(
        agent.models is None,
        f"the {what} must be an algorithm",
        "trained models",
    )
