"""Whether models that should be the same are: of other data, of other seeds."""

import itertools
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from envs.base import Key
from envs.splits import TaskSet
from icrl.agents import Agent, as_agent
from icrl.algorithms.base import Algorithm
from icrl.diagnostics.divergence import Distances, as_distances, disagreement


def agreement(
    key: Key,
    tasks: TaskSet,
    agents: Mapping[str, Agent],
    seeds: Mapping[str, Sequence[int]],
    histories: Agent | Algorithm,
    *,
    num_tasks: int,
) -> Distances:
    """Distances between every two trained agents, and between the seeds of each.

    Args:
        key: as in `disagreement`.
        tasks: likewise.
        agents: trained, by name.
        seeds: the training seeds of each, in the order of its models.
        histories: the behaviour policy.
        num_tasks: histories.

    Returns:
        `<one>_and_<other>` on the seeds that both have, and `<one>_and_itself`, each
        seed beside the next, where an agent has several.
    """
    pairs = {}
    for one, other in itertools.combinations(agents, 2):
        shared = [seed for seed in seeds[one] if seed in seeds[other]]
        pairs[f"{one}_and_{other}"] = (
            _of_seeds(agents[one], seeds[one], shared),
            _of_seeds(agents[other], seeds[other], shared),
        )
    for name, known in seeds.items():
        if len(known) > 1:
            turned = _of_seeds(agents[name], known, [*known[1:], known[0]])
            pairs[f"{name}_and_itself"] = agents[name], turned
    player = as_agent(histories)
    found = {
        name: disagreement(key, tasks, one, other, player, num_tasks=num_tasks)
        for name, (one, other) in pairs.items()
    }
    return as_distances(key, tasks, found, frozenset(found), num_tasks)


def _of_seeds(agent: Agent, known: Sequence[int], seeds: Sequence[int]) -> Agent:
    """The agent with the models of these training seeds, in this order."""
    places = np.array([known.index(seed) for seed in seeds])
    return agent._replace(models=jax.tree.map(lambda leaf: leaf[places], agent.models))
