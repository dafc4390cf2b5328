"""Playing agents on the same tasks with the same noise, and scoring them exactly.

Every number here is a gap of the task (exact mean rewards), never a noisy reward; but
for tasks without gaps, which are scored by return.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs.base import Family, Key, Task, gaps_of, require_gaps
from envs.splits import FiniteTasks, TaskSet, digest
from icrl.agents import Agent, as_agent
from icrl.algorithms.base import Algorithm, of_any_task
from icrl.devices import divisible, in_parts
from icrl.evaluation.scores import Scores
from icrl.keys import Purpose, fold
from icrl.replay import replay
from icrl.rollout import Trajectory, rollout
from icrl.runs.metrics import Progress

# By name; an algorithm plays as it is, or is made from each task.
Agents: TypeAlias = Mapping[str, Agent | Algorithm | Callable[[Task], Algorithm]]
# On a processor, so few, each played by all seeds, that more of what agents remember
# stays in its cache: a model's step takes half as long as beside 250 (500 pulls, 3 to 5
# seeds of 2 layers of width 32).
TASKS_ON_A_CORE = 16
TASKS, AGENTS, CONTEXTS = Purpose.TASKS, Purpose.AGENTS, Purpose.CONTEXTS


def play(
    key: Key,
    tasks: TaskSet,
    agent: Agent,
    model: Any,
    index: Array,
    *,
    num_episodes: int = 1,
) -> tuple[Task, Trajectory]:
    """Task `index` and the trajectory of an agent in it.

    The task, its noise and the numbers that an agent chooses by depend on `key` and
    `index` alone: they are the same for all agents and training seeds, in `online` as
    in every diagnostic, so that differences are the models' and not the draws'. Of
    finitely many tasks every one is played in turn.
    """
    key_sample, key_noise = jax.random.split(key_for(key, TASKS, index))
    task = task_at(tasks, key_sample, index)
    key_agent = key_for(key, AGENTS, index)
    algorithm = agent.make(model, task)
    return task, rollout(
        key_noise, key_agent, task, algorithm, num_episodes=num_episodes
    )


def metric_of(family: Family) -> str:
    """What the last of the scores of `online` is in a family's tasks."""
    return "final_regret" if family.has_gaps else "return"


def online(
    key: Key,
    tasks: TaskSet,
    agents: Agents,
    *,
    num_tasks: int,
    num_episodes: int = 1,
    tasks_at_once: int = 500,
) -> Scores:
    """Cumulative regret of every agent on the same tasks with the same noise.

    Cumulative reward where tasks have no gaps: what `metric_of` their family names.

    Args:
        key: draws tasks, noise and the agents' choices, each for itself.
        tasks: where tasks come from.
        agents: by name.
        num_tasks: tasks that each agent plays.
        num_episodes: episodes on each task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        For every agent the regret, or return, after each step, in reward units.
    """

    def regret(agent: Agent, model: Any, index: Array) -> Array:
        _, trajectory = play(key, tasks, agent, model, index, num_episodes=num_episodes)
        return jnp.cumsum(_scored(trajectory))

    scores = score_agents(key, tasks, agents, regret, num_tasks, tasks_at_once)
    return dataclasses.replace(scores, by_return=not _give_gaps(tasks))


def _give_gaps(tasks: TaskSet) -> bool:
    """Whether tasks give gaps; nothing is computed."""

    def gaps(key_sample: Key, key_reset: Key) -> Array | None:
        task = tasks.sample(key_sample)
        return gaps_of(task, task.reset(key_reset)[0])

    return jax.eval_shape(gaps, *jax.random.split(jax.random.key(0))) is not None


def _scored(trajectory: Trajectory) -> Float[Array, " time"]:
    """What every step costs, or pays where the task has no gaps."""
    if trajectory.gap is not None:
        return trajectory.gap
    return jnp.where(trajectory.valid, trajectory.timestep.reward, 0.0)


def offline(
    key: Key,
    tasks: TaskSet,
    context: Algorithm | Callable[[Task], Algorithm],
    agents: Agents,
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> Scores:
    """Suboptimality of every agent's decision, given the same data sets.

    Args:
        key: draws tasks, data sets and the agents' choices, each for itself.
        tasks: where tasks come from.
        context: collects the data set, one episode of it: an algorithm, or
            `task -> Algorithm`.
        agents: by name.
        num_tasks: data sets, one a task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        For every agent the gap of its decision with n transitions known, for n from 0
        to the horizon.
    """

    def data_set(index: Array) -> tuple[Task, Trajectory]:
        keys = jax.random.split(key_for(key, TASKS, index), 3)
        key_sample, key_noise, key_data = keys
        task = task_at(tasks, key_sample, index)
        return task, rollout(key_noise, key_data, task, of_any_task(context)(task))

    def suboptimality(agent: Agent, model: Any, index: Array, given: Any) -> Array:
        task, data = given
        actions = replay(key_for(key, AGENTS, index), agent.make(model, task), data)
        gaps = functools.partial(require_gaps, "offline suboptimality", task)
        gaps = jnp.concatenate(
            [jax.vmap(gaps)(data.state), gaps(data.final_state)[None]]
        )
        return jnp.take_along_axis(gaps, actions[:, None], axis=1)[:, 0]

    sizes = num_tasks, tasks_at_once
    return score_agents(key, tasks, agents, suboptimality, *sizes, shared=data_set)


def score_agents(
    key: Key,
    tasks: TaskSet,
    agents: Agents,
    score: Callable[..., Array],
    num_tasks: int,
    tasks_at_once: int,
    *,
    shared: Callable[[Array], Any] | None = None,
) -> Scores:
    """The table of several agents, each scored on trajectories 0, 1, ...

    Args:
        key: that the score draws from.
        tasks: where tasks come from.
        agents: by name.
        score: `(agent, model, task index) -> values`.
        num_tasks: trajectories of each training seed.
        tasks_at_once: side by side; bounds memory.
        shared: `task index -> Any`, computed once for all agents, such as a data set;
            the score takes it as a fourth argument.
    """
    made = {name: as_agent(agent) for name, agent in agents.items()}
    models = {name: agent.models for name, agent in made.items()}

    def of_task(models: Mapping[str, Any], index: Array) -> dict[str, Array]:
        given = () if shared is None else (shared(index),)

        def of_agent(name: str, agent: Agent) -> Array:
            def of_seed(model: Any) -> Array:
                return score(agent, model, index, *given)

            return over_seeds(agent, models[name], of_seed)

        return {name: of_agent(name, agent) for name, agent in made.items()}

    num_seeds = max((agent.num_seeds for agent in made.values()), default=1)
    at_once, names = tasks_at_once // num_seeds, ", ".join(made)
    found = over_tasks(of_task, models, num_tasks, at_once, names)
    values = {name: found[name].swapaxes(0, 1) for name in made}
    learned = frozenset(name for name, agent in made.items() if agent.is_trained)
    return Scores(
        values, learned, task_ids(tasks, num_tasks), tasks_hash(key, tasks, num_tasks)
    )


def task_ids(tasks: TaskSet, num_tasks: int) -> Int[np.ndarray, " trajectories"]:
    """Which task each trajectory is in: one of a list in turn, or a fresh draw."""
    ids = np.arange(num_tasks)
    return ids % len(tasks) if isinstance(tasks, FiniteTasks) else ids


def tasks_hash(key: Key, tasks: TaskSet, num_tasks: int) -> str:
    """Names the tasks and the noise that agents meet: 16 hex digits."""
    drawn = np.asarray(jax.random.key_data(key)).tobytes()
    parts = drawn, digest(tasks).encode(), str(num_tasks).encode()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def over_seeds_and_tasks(
    agent: Agent, score: Callable[..., Any], num_tasks: int, tasks_at_once: int
) -> Any:
    """`score(model, task index)` for all of both, in one compiled function.

    Args:
        agent: whose models are scored.
        score: its result, an array or a pytree of them, has the same shapes for all.
        num_tasks: task indices 0, 1, ...
        tasks_at_once: side by side; bounds memory.

    Returns:
        [seeds, tasks, ...].
    """

    def of_task(models: Any, index: Array) -> Any:
        return over_seeds(agent, models, lambda model: score(model, index))

    at_once = tasks_at_once // agent.num_seeds
    found = over_tasks(of_task, agent.models, num_tasks, at_once)
    return jax.tree.map(lambda x: x.swapaxes(0, 1), found)


def over_seeds(agent: Agent, models: Any, score: Callable[[Any], Any]) -> Any:
    """`score(model)` of each of an agent's models: [seeds, ...]."""
    if agent.num_seeds > 1:
        return jax.vmap(score)(models)
    # one seed needs no loop, which takes long to trace
    found = score(jax.tree.map(lambda leaf: leaf[0], models))
    return jax.tree.map(lambda x: x[None], found)


def over_tasks(
    score: Callable[[Any, Array], Any],
    models: Any,
    num_tasks: int,
    tasks_at_once: int,
    names: str = "an agent",
) -> Any:
    """`score(models, task index)` for all tasks: compiled once, with a bar.

    Args:
        score: its result, an array or a pytree of them, has the same shapes for all.
        models: of whoever plays, by name or alone.
        num_tasks: task indices.
        tasks_at_once: side by side, on a processor fewer; bounds memory.
        names: of whoever plays, for the bar.

    Returns:
        [tasks, ...].
    """
    if jax.default_backend() == "cpu":
        tasks_at_once = min(tasks_at_once, TASKS_ON_A_CORE * jax.device_count())
    num_batches = -(-num_tasks // max(1, tasks_at_once))
    size = divisible(-(-num_tasks // num_batches))
    run = in_parts(jax.vmap(score, in_axes=(None, 0)))
    batches = []
    with Progress(num_tasks, "tasks", label="evaluating") as progress:
        progress.say(f"compiling {names}")
        for start in range(0, num_tasks, size):
            # the last batch is as large as the others: one shape is one program
            indices = np.minimum(np.arange(start, start + size), num_tasks - 1)
            batches.append(jax.tree.map(np.asarray, run(models, indices)))
            progress.update(min(start + size, num_tasks))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:num_tasks], *batches)


def task_at(tasks: TaskSet, key: Key, index: Array) -> Task:
    """Task `index`: one after another of a list, or a fresh draw."""
    return tasks.at(index) if isinstance(tasks, FiniteTasks) else tasks.sample(key)


def key_for(key: Key, purpose: Purpose, index: Array) -> Key:
    """The key of one purpose (`TASKS`, `AGENTS`, ...) for task `index`."""
    return jax.random.fold_in(fold(key, purpose), index)
