"""Does the order of a history matter, where it should not?"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Key, Task, require
from envs.splits import TaskSet
from icrl.agents import Agent, as_agent
from icrl.algorithms.base import Algorithm
from icrl.diagnostics.divergence import require_algorithm, total_variation
from icrl.evaluation import Agents, Scores, key_for, play, score_agents
from icrl.evaluation.numbers import Numbers, add_row
from icrl.keys import Purpose
from icrl.rollout import Trajectory


def order_sensitivity(
    key: Key,
    tasks: TaskSet,
    agents: Agents,
    context: Agent | Algorithm,
    *,
    num_tasks: int,
    num_orders: int = 4,
    tasks_at_once: int = 500,
) -> Scores:
    """Total variation that a reordering of the history makes in the last decision.

    That is the last one which is carried out: it knows all steps but the last.

    The steps of a bandit's history are exchangeable where its arms stay the same and
    all actions had the same probabilities (`uniform`, or DPT's mixture, which draws
    them once a task): then a posterior does not depend on their order. Where an
    algorithm that learns collected it, a reordered history is one that could not have
    come about, but a posterior still ignores the order.

    Source: ours; DPT's training shuffles contexts to teach it (Lee et al. 2023, arXiv
    2306.14892, and its code).

    Args:
        key: draws tasks, noise, choices and orders.
        tasks: bandits whose arms and observations stay the same.
        agents: by name.
        context: who collects the histories.
        num_tasks: histories, one a task.
        num_orders: random orders of each.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        [seeds, tasks, orders] of each, in [0, 1]; 0 wherever the order makes no
        difference.

    Raises:
        ValueError: if the context algorithm is a trained model, or there is no order.
    """
    collector = as_agent(context)
    require_algorithm("who collects the histories", collector)
    require(num_orders >= 1, "num_orders must be at least 1", num_orders)

    def history(index: Array) -> tuple[Task, Trajectory]:
        return play(key, tasks, collector, None, index)

    def score(
        agent: Agent, model: Any, index: Array, given: Any
    ) -> Float[Array, " orders"]:
        task, trajectory = given
        as_it_was = agent.action_probabilities(model, task, trajectory)[-2]

        def distance(key_order: Key) -> Float[Array, ""]:
            reordered = _reordered(key_order, trajectory)
            probabilities = agent.action_probabilities(model, task, reordered)[-2]
            return total_variation(as_it_was, probabilities)

        key_orders = key_for(key, Purpose.ORDERS, index)
        return jax.vmap(distance)(jax.random.split(key_orders, num_orders))

    sizes = num_tasks, tasks_at_once
    return score_agents(key, tasks, agents, score, *sizes, shared=history)


def of_orders(panel: str, scores: Scores) -> Numbers:
    """Rows of the mean over the orders, as `order_sensitivity` gives them."""
    numbers = Numbers(finals={f"{panel}/tasks_hash": scores.tasks_hash})
    for agent in scores:
        moved = scores.by_task(agent).mean(-1)
        add_row(numbers, panel, agent, "tv_mean", moved, scores, exact=0.0)
    return numbers


def _reordered(key: Key, trajectory: Trajectory) -> Trajectory:
    """The same steps in a random order, but for the last one."""
    last = trajectory.action.shape[0] - 1
    order = jnp.append(jax.random.permutation(key, last), last)
    obs, action, timestep = jax.tree.map(
        lambda leaf: leaf[order],
        (trajectory.obs, trajectory.action, trajectory.timestep),
    )
    return trajectory._replace(obs=obs, action=action, timestep=timestep)
