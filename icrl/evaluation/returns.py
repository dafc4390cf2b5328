"""Scoring by what an episode pays, for tasks whose rewards have no noise.

In Dark Room a reward says it all, and the literature's figures show returns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Key
from envs.splits import TaskSet
from icrl.agents import Agent
from icrl.algorithms.base import Algorithm
from icrl.evaluation import (
    AGENTS,
    TASKS,
    Regrets,
    key_for,
    over_seeds_and_tasks,
    panels,
    play,
    task_at,
)
from icrl.pretraining import Collect
from icrl.rollout import Trajectory, rollout


def online_panel(
    panel: str,
    key: Key,
    tasks: TaskSet,
    agents: Mapping[str, Agent],
    *,
    num_tasks: int,
    num_episodes: int,
    learned: Mapping[str, int],
    published: Mapping[str, Sequence[tuple[int, float]]] | None = None,
    tasks_at_once: int = 50,
) -> panels.Panel:
    """A panel of returns by episode, beside the exact posterior's.

    Args:
        panel: its name.
        key: as in `online`.
        tasks: where tasks come from.
        agents: by name.
        num_tasks: tasks that each agent plays.
        num_episodes: episodes on each task.
        learned: training seeds of each agent that has some.
        published: (episode, return) points of agents; the last episode's is compared.
        tasks_at_once: tasks side by side; bounds memory.
    """
    scores = online(
        key,
        tasks,
        agents,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        tasks_at_once=tasks_at_once,
    )
    return panels.curve_panel(
        panel,
        scores,
        metric="return_last_episode",
        learned=learned,
        published=panels.last(published or {}, num_episodes),
    )


def offline_panel(
    panel: str,
    key: Key,
    tasks: TaskSet,
    collect: Collect,
    agents: Mapping[str, Agent],
    *,
    num_tasks: int,
    learned: Mapping[str, int],
    reference: str = panels.REFERENCE,
    published: Mapping[str, float] | None = None,
    tasks_at_once: int = 50,
) -> panels.Panel:
    """A panel of the return of one episode after a given data set.

    Args:
        panel: its name.
        key: as in `offline`.
        tasks: where tasks come from.
        collect: how a data set is collected.
        agents: by name.
        num_tasks: data sets, one a task.
        learned: training seeds of each agent that has some.
        reference: the agent that a perfectly trained model equals.
        published: published returns.
        tasks_at_once: tasks side by side; bounds memory.
    """
    scores = offline(
        key, tasks, collect, agents, num_tasks=num_tasks, tasks_at_once=tasks_at_once
    )
    return panels.curve_panel(
        panel,
        scores,
        metric="return",
        learned=learned,
        reference=reference,
        published=published,
    )


def online(
    key: Key,
    tasks: TaskSet,
    agents: Mapping[str, Agent],
    *,
    num_tasks: int,
    num_episodes: int,
    tasks_at_once: int = 500,
) -> dict[str, Regrets]:
    """Sum of the rewards of every episode, for tasks whose rewards have no noise.

    Args:
        key: as in `evaluation.online`; the same lives.
        tasks: where tasks come from.
        agents: by name.
        num_tasks: tasks that each agent plays.
        num_episodes: episodes on each task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        [seeds, tasks, episodes] for every agent, in reward units.
    """

    def returns(agent: Agent) -> Regrets:
        def score(model: Any, index: Array, seed: Array) -> Array:
            _, trajectory = play(
                key, tasks, agent, model, index, seed, num_episodes=num_episodes
            )
            return _returns(trajectory, num_episodes)

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    return {name: returns(agent) for name, agent in agents.items()}


def offline(
    key: Key,
    tasks: TaskSet,
    collect: Collect,
    agents: Mapping[str, Agent],
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> dict[str, Regrets]:
    """Return of one episode after a given data set, for rewards without noise.

    Every agent learns from the data set, transition by transition, and then plays.

    Args:
        key: draws tasks, data sets and the agents' choices, each for itself.
        tasks: where tasks come from.
        collect: how a data set is collected.
        agents: by name.
        num_tasks: data sets, one a task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        [seeds, tasks, 1] for every agent, in reward units.
    """

    def returns(agent: Agent) -> Regrets:
        def score(model: Any, index: Array, seed: Array) -> Array:
            keys = jax.random.split(key_for(key, TASKS, index), 4)
            key_sample, key_noise, key_data, key_play = keys
            task = task_at(tasks, key_sample, index)
            data = collect(key_noise, key_data, task)
            algorithm = informed(agent.make(model, task), data)
            key_agent = jax.random.fold_in(key_for(key, AGENTS, index), seed)
            return _returns(rollout(key_play, key_agent, task, algorithm), 1)

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    return {name: returns(agent) for name, agent in agents.items()}


def informed(algorithm: Algorithm, data: Trajectory) -> Algorithm:
    """The same algorithm, which has seen `data` before its first episode."""

    def learn(agent: Any, now: tuple[Any, ...]):
        # a model's cache grows when it acts; what it would have done is unused
        agent, _ = algorithm.act(jax.random.key(0), agent, now[0])
        return algorithm.update(agent, *now), None

    steps = data.obs, data.action, data.timestep
    state, _ = jax.lax.scan(learn, algorithm.init(), steps)
    made_for, taken = algorithm.interface, data.action.shape[0]
    if made_for is not None and made_for.num_steps is not None:
        made_for = made_for._replace(num_steps=made_for.num_steps - taken)
    return algorithm._replace(init=lambda: state, interface=made_for)


def _returns(trajectory: Trajectory, num_episodes: int) -> Array:
    paid = jnp.where(trajectory.valid, trajectory.timestep.reward, 0.0)
    return paid.reshape(num_episodes, -1).sum(-1)
