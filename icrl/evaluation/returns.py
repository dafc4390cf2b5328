"""Scoring by what an episode pays: where rewards have no noise, or without it.

In Dark Room a reward says it all, and the literature's figures show returns.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Key, Task
from envs.splits import TaskSet
from envs.tabular_mdp import TabularMDP
from icrl.agents import Agent
from icrl.algorithms.base import Algorithm
from icrl.evaluation.playing import (
    AGENTS,
    TASKS,
    Agents,
    key_for,
    play,
    score_agents,
    task_at,
)
from icrl.evaluation.scores import Scores
from icrl.pretraining import Collect
from icrl.rollout import Trajectory, rollout


def online(
    key: Key,
    tasks: TaskSet,
    agents: Agents,
    *,
    num_tasks: int,
    num_episodes: int,
    tasks_at_once: int = 500,
) -> Scores:
    """Sum of the rewards of every episode, for tasks whose rewards have no noise.

    Args:
        key: as in `evaluation.online`; the same trajectories.
        tasks: where tasks come from.
        agents: by name.
        num_tasks: tasks that each agent plays.
        num_episodes: episodes on each task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        [seeds, tasks, episodes] for every agent, in reward units.
    """

    def returns(agent: Agent, model: Any, index: Array) -> Array:
        _, trajectory = play(key, tasks, agent, model, index, num_episodes=num_episodes)
        return _returns(trajectory, num_episodes)

    scores = score_agents(key, tasks, agents, returns, num_tasks, tasks_at_once)
    return dataclasses.replace(scores, by_return=True)


def expected_totals(
    key: Key,
    tasks: TaskSet,
    agents: Agents,
    *,
    num_tasks: int,
    num_episodes: int,
    tasks_at_once: int = 500,
) -> Scores:
    """Sum of all rewards so far, in expectation over the noise, for tabular MDPs.

    The gaps of the actions of an episode sum, in expectation, to V* less its return,
    whatever was learnt before it (the performance difference lemma).

    Args:
        key: as in `evaluation.online`; the same trajectories.
        tasks: where tasks come from: each says its `optimal_return`.
        agents: by name.
        num_tasks: tasks that each agent plays.
        num_episodes: episodes on each task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        [seeds, tasks, episodes] for every agent, in reward units.
    """

    def totals(agent: Agent, model: Any, index: Array) -> Array:
        task, trajectory = play(
            key, tasks, agent, model, index, num_episodes=num_episodes
        )
        assert isinstance(task, TabularMDP) and trajectory.gap is not None
        gaps = trajectory.gap.reshape(num_episodes, -1).sum(-1)
        return jnp.cumsum(task.optimal_return - gaps)

    scores = score_agents(key, tasks, agents, totals, num_tasks, tasks_at_once)
    return dataclasses.replace(scores, by_return=True)


def offline(
    key: Key,
    tasks: TaskSet,
    collect: Collect,
    agents: Agents,
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> Scores:
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

    def data_set(index: Array) -> tuple[Task, Trajectory]:
        keys = jax.random.split(key_for(key, TASKS, index), 4)
        key_sample, key_noise, key_data, _ = keys
        task = task_at(tasks, key_sample, index)
        return task, collect(key_noise, key_data, task)

    def returns(agent: Agent, model: Any, index: Array, given: Any) -> Array:
        task, data = given
        _, _, _, key_play = jax.random.split(key_for(key, TASKS, index), 4)
        algorithm = informed(agent.make(model, task), data)
        key_agent = key_for(key, AGENTS, index)
        return _returns(rollout(key_play, key_agent, task, algorithm), 1)

    sizes = num_tasks, tasks_at_once
    scores = score_agents(key, tasks, agents, returns, *sizes, shared=data_set)
    return dataclasses.replace(scores, by_return=True)


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
