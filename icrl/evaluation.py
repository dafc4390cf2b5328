"""Playing agents on the same tasks with the same noise, and scoring them exactly.

Every number here is a gap of the task (exact mean rewards), never a noisy reward.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs import registry
from envs.base import Family, Key, Task
from envs.splits import FiniteTasks, TaskSet
from icrl.algorithms.base import Algorithm
from icrl.in_context import in_context
from icrl.pretraining import Collect, Pretraining, gather
from icrl.rollout import Trajectory, predictions, replay, rollout
from icrl.tokens import Layout, decisions, encode

Regrets = Float[np.ndarray, "_ _ _"]  # seeds, tasks, time
Law = Float[Array, "decisions actions"]
TASKS, AGENTS, CONTEXTS = 0, 1, 2  # key purposes


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
    return Agent(make, models, law if layout.num_queries == 1 else None)


def play(
    key: Key,
    tasks: TaskSet,
    agent: Agent,
    model: Any,
    index: Array,
    seed: Array,
    *,
    num_episodes: int = 1,
) -> tuple[Task, Trajectory]:
    """Task `index` and the life of an agent in it.

    The task and its noise depend on `key` and `index` alone: whoever is played with the
    same two meets the same ones, in `online` as in every diagnostic. Of finitely many
    tasks every one is played in turn.
    """
    key_sample, key_noise = jax.random.split(_key(key, TASKS, index))
    task = _task(tasks, key_sample, index)
    key_agent = jax.random.fold_in(_key(key, AGENTS, index), seed)
    algorithm = agent.make(model, task)
    return task, rollout(
        key_noise, key_agent, task, algorithm, num_episodes=num_episodes
    )


def online(
    key: Key,
    tasks: TaskSet,
    agents: Mapping[str, Agent],
    *,
    num_tasks: int,
    num_episodes: int = 1,
    tasks_at_once: int = 500,
) -> dict[str, Regrets]:
    """Cumulative regret of every agent on the same tasks with the same noise.

    Args:
        key: draws tasks, noise and the agents' choices, each for itself.
        tasks: where tasks come from.
        agents: by name.
        num_tasks: tasks that each agent plays.
        num_episodes: episodes on each task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        For every agent the regret after each step, in reward units.
    """

    def regret(agent: Agent) -> Regrets:
        def score(model: Any, index: Array, seed: Array) -> Array:
            _, trajectory = play(
                key, tasks, agent, model, index, seed, num_episodes=num_episodes
            )
            return jnp.cumsum(trajectory.gap)

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    return {name: regret(agent) for name, agent in agents.items()}


def offline(
    key: Key,
    tasks: TaskSet,
    context: Callable[[Task], Algorithm],
    agents: Mapping[str, Agent],
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> dict[str, Regrets]:
    """Suboptimality of every agent's decision, given the same data sets.

    Args:
        key: draws tasks, data sets and the agents' choices, each for itself.
        tasks: where tasks come from.
        context: `task -> Algorithm` that collects the data set, one episode of it.
        agents: by name.
        num_tasks: data sets, one a task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        For every agent the gap of its decision with n transitions known, for n from 0
        to the horizon.
    """

    def suboptimality(agent: Agent) -> Regrets:
        def score(model: Any, index: Array, seed: Array) -> Array:
            keys = jax.random.split(_key(key, TASKS, index), 3)
            key_sample, key_noise, key_data = keys
            task = _task(tasks, key_sample, index)
            data = rollout(key_noise, key_data, task, context(task))
            key_agent = jax.random.fold_in(_key(key, AGENTS, index), seed)
            actions = replay(key_agent, agent.make(model, task), data)
            gaps = jax.vmap(task.gaps)(data.state)
            gaps = jnp.concatenate([gaps, task.gaps(data.final_state)[None]])
            return jnp.take_along_axis(gaps, actions[:, None], axis=1)[:, 0]

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    return {name: suboptimality(agent) for name, agent in agents.items()}


def online_returns(
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
        key: as in `online`; the same lives.
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


def offline_returns(
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
            keys = jax.random.split(_key(key, TASKS, index), 3)
            key_sample, key_noise, key_data = keys
            task = _task(tasks, key_sample, index)
            data = collect(key_noise, key_data, task)
            algorithm = informed(agent.make(model, task), data)
            key_agent = jax.random.fold_in(_key(key, AGENTS, index), seed)
            return _returns(rollout(key_noise, key_agent, task, algorithm), 1)

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    return {name: returns(agent) for name, agent in agents.items()}


def informed(algorithm: Algorithm, data: Trajectory) -> Algorithm:
    """The same algorithm, which has seen `data` before its first episode."""

    def learn(agent: Any, now: tuple[Any, ...]):
        return algorithm.update(agent, *now), None

    steps = data.obs, data.action, data.timestep
    state, _ = jax.lax.scan(learn, algorithm.init(), steps)
    return algorithm._replace(init=lambda: state)


def _returns(trajectory: Trajectory, num_episodes: int) -> Array:
    paid = jnp.where(trajectory.valid, trajectory.timestep.reward, 0.0)
    return paid.reshape(num_episodes, -1).sum(-1)


def losses(
    key: Key,
    pretraining: Pretraining,
    models: Any,
    exact: Algorithm,
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> dict[str, Regrets]:
    """Cross-entropy to the expert after every prefix: the models' and its floor.

    Args:
        key: draws fresh contexts; the pretraining's task set decides which half.
        pretraining: contexts, expert and layout.
        models: stacked over seeds.
        exact: the algorithm whose action probabilities are the exact posterior over the
            expert's action; its loss is the least that is possible.
        num_tasks: contexts.
        tasks_at_once: contexts side by side; bounds memory.

    Returns:
        `loss` of the models [seeds, tasks, decisions] and `loss_floor` [1, ...], nats;
        0 where a decision has no label.
    """

    def draw(index: Array):
        key_sample, key_noise, key_agent = jax.random.split(
            _key(key, CONTEXTS, index), 3
        )
        task = _task(pretraining.tasks, key_sample, index)
        trajectory = gather(pretraining, key_noise, key_agent, task)
        return task, trajectory, *pretraining.expert(task, trajectory)

    def loss(agent: Agent) -> Regrets:
        def score(model: Any, index: Array, seed: Array) -> Array:
            task, trajectory, labels, weights = draw(index)
            log_law = jnp.log(jnp.maximum(agent.law(model, task, trajectory), 1e-30))
            return -weights * jnp.sum(labels * log_law, axis=-1)

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    return {
        "loss": loss(trained(models, pretraining.layout)),
        "loss_floor": loss(fixed(exact)),
    }


def over_seeds_and_tasks(
    agent: Agent, score: Callable[..., Array], num_tasks: int, tasks_at_once: int
) -> Regrets:
    """`score(model, task index, seed)` for all of both, in one compiled call.

    Args:
        agent: whose models are scored.
        score: its result has the same shape for all.
        num_tasks: task indices 0, 1, ...
        tasks_at_once: side by side; bounds memory.

    Returns:
        [seeds, tasks, ...].
    """

    @jax.jit
    def run(models: Any) -> Array:
        def of_task(index: Array) -> Array:
            def of_seed(model: Any, seed: Array) -> Array:
                return score(model, index, seed)

            return jax.vmap(of_seed)(models, jnp.arange(agent.num_seeds))

        batch_size = max(1, min(tasks_at_once // agent.num_seeds, num_tasks))
        return jax.lax.map(of_task, jnp.arange(num_tasks), batch_size=batch_size)

    return np.asarray(run(agent.models)).swapaxes(0, 1)


def _task(tasks: TaskSet, key: Key, index: Array) -> Task:
    """Task `index`: one after another of a list, or a fresh draw."""
    return tasks.at(index) if isinstance(tasks, FiniteTasks) else tasks.sample(key)


def _key(key: Key, purpose: int, index: Array) -> Key:
    return jax.random.fold_in(jax.random.fold_in(key, purpose), index)


def evaluate_run(
    run: str,
    *,
    family: str,
    horizon: int | None = None,
    num_tasks: int = 1000,
    extrapolate: bool = False,
    name: str = "",
) -> list[dict[str, Any]]:
    """Plays a trained run in another family or for another horizon, as it is.

    The exact posterior sampler of the family that the model was trained on stands
    beside it: the prediction for an ideal DPT, whose prior is frozen in its weights.

    Args:
        run: a run's folder, or an experiment's name.
        family: registered name of the family to play.
        horizon: steps; the model's own if None.
        num_tasks: tasks that each training seed plays.
        extrapolate: allow more steps than the model was trained on.
        name: which model, where a run trained several.

    Returns:
        Rows of a summary.

    Raises:
        RunError: if there is no such run, or its weights are broken.
        ValueError: if the family's actions or observations are not the model's, or the
            horizon is beyond the model.
    """
    from icrl import algorithms, panels
    from icrl.agent import load_agent

    agent = load_agent(run, name)
    trained_steps = agent.recipe.num_episodes * agent.family.horizon
    horizon = trained_steps if horizon is None else horizon
    if horizon > trained_steps and not extrapolate:
        raise ValueError(
            f"horizon {horizon} is beyond the {trained_steps} steps that the model was "
            "trained on; --extrapolate plays it all the same"
        )
    if horizon > trained_steps:
        agent = load_agent(run, name, num_steps=horizon)
    tested = registry.family(family, horizon=horizon)
    _require_same_interface(tested, agent.family)
    agents = {
        "dpt": trained(agent.models, agent.layout),
        "dpt_argmax": trained(agent.models, agent.layout, greedy=True),
    }
    for other in ("exact_posterior_sampling", "thompson_sampling", "ucb", "uniform"):
        with contextlib.suppress(ValueError):  # not every algorithm plays every family
            agents[other] = fixed(algorithms.make(other, agent.family))
    scores = online(jax.random.key(0), tested.split().test, agents, num_tasks=num_tasks)
    seeds = len(agent.seeds)
    rows, _ = panels.curve_panel(
        tested.name,
        scores,
        metric="final_regret",
        learned={"dpt": seeds, "dpt_argmax": seeds},
    )
    return rows


def _require_same_interface(tested: Family, trained_on: Family) -> None:
    """A model reads and writes what its family showed and took."""
    for what in ("num_actions", "num_observations", "obs_shape"):
        there, here = getattr(trained_on, what), getattr(tested, what)
        if there != here:
            raise ValueError(
                f"{tested.name} has {what} {here}, the model was trained with {there}"
            )
