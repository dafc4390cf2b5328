"""Experts: what labels the decisions of a trajectory."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Key, Task, gaps_of, require, require_gaps, require_state
from icrl.algorithms.base import Algorithm, require_probabilities
from icrl.replay import answers, draws, predictions
from icrl.rollout import Trajectory

Labels = Float[Array, "decisions actions"]  # a distribution for each decision
# `(key, task, trajectory, query) -> (labels, weights)`; the query is None, where a
# decision is about the state it was taken in; few labels are drawn by the key
Expert = Callable[
    [Key, Task, Trajectory, Any], tuple[Labels, Float[Array, " decisions"]]
]


def move_to_query(task: Task, trajectory: Trajectory, query: Any) -> Trajectory:
    """The same data, with every decision in the state that shows its query at step 0.

    An expert that reads states then labels the decision at the query. Every query has
    an answer, whatever of the data is valid.
    """
    num_steps = trajectory.action.shape[0]
    queries = jnp.broadcast_to(query, num_steps + 1)
    start = jnp.zeros((), jnp.int32)
    rebuild = functools.partial(require_state, "a query", task)
    states = jax.vmap(rebuild, (None, 0))(start, queries)
    return trajectory._replace(
        state=jax.tree.map(lambda x: x[:-1], states),
        final_state=jax.tree.map(lambda x: x[-1], states),
        valid=jnp.ones(num_steps, bool),
    )


def optimal_expert(*, empty_context: bool = True) -> Expert:
    """DPT's expert: the optimal action of every step's state.

    Args:
        empty_context: whether decision 0 is trained. The released DPT code leaves it
            out, although it plays the first step of every task (and, in an MDP, the
            whole first episode).
    """

    def label(key: Key, task: Task, trajectory: Trajectory, query: Any = None):
        del key
        if query is not None:
            trajectory = move_to_query(task, trajectory, query)
        states = jax.tree.map(
            lambda x, last: jnp.concatenate([x, last[None]]),
            trajectory.state,
            trajectory.final_state,
        )
        gaps = functools.partial(require_gaps, "labelling by the optimal action", task)
        best = jnp.argmin(jax.vmap(gaps)(states), axis=-1)
        weights = _decided(task, trajectory)
        return (
            jax.nn.one_hot(best, task.num_actions),
            weights if empty_context else weights.at[0].set(0.0),
        )

    return label


def taken_actions_expert(
    key: Key, task: Task, trajectory: Trajectory, query: Any = None
):
    """Algorithm Distillation's expert: the context algorithm's own actions.

    The decision after the last step has no action and no weight.

    Source: Laskin et al. 2022, arXiv 2210.14215.

    Raises:
        ValueError: if there is a query: another state than those it acted in.
    """
    del key
    rule = "the actions taken answer no query; use step or interleaved"
    require(query is None, rule, "a tokenizer with queries")
    taken = jax.nn.one_hot(trajectory.action, task.num_actions)
    labels = jnp.concatenate([taken, jnp.zeros((1, task.num_actions))])
    return labels, jnp.append(trajectory.valid, False).astype(jnp.float32)


def probabilities_expert(algorithm: Algorithm, *, empty_context: bool = True) -> Expert:
    """An algorithm that saw the same history: labels are its action probabilities.

    It may be the context algorithm (distillation with soft labels) or another one.

    Args:
        algorithm: the one whose probabilities they are.
        empty_context: whether decision 0 is trained, as in `optimal_expert`.

    Raises:
        ValueError: if it has no `action_probabilities`.
    """
    require_probabilities(algorithm)

    def label(key: Key, task: Task, trajectory: Trajectory, query: Any = None):
        del key
        if query is None:
            weights = _decided(task, trajectory)
            num_episodes = _episodes(task, trajectory)
            labels = predictions(algorithm, trajectory, num_episodes=num_episodes)
        else:
            weights = jnp.ones(trajectory.action.shape[0] + 1)
            labels = answers(algorithm, trajectory, query)
        return labels, weights if empty_context else weights.at[0].set(0.0)

    return label


def draws_expert(
    sampler: Algorithm, num_draws: int, *, empty_context: bool = True
) -> Expert:
    """Posterior sampling that saw the same history: labels are the mean of its draws.

    Args:
        sampler: whose choices are draws from the posterior over the best action.
        num_draws: at each decision, independent of those at the others.
        empty_context: whether decision 0 is trained, as in `optimal_expert`.
    """

    def label(key: Key, task: Task, trajectory: Trajectory, query: Any = None):
        require(query is None, "draws answer no query; use step", "a query")
        labels = draws(
            key,
            sampler,
            trajectory,
            num_actions=task.num_actions,
            num_draws=num_draws,
            num_episodes=_episodes(task, trajectory),
        )
        weights = _decided(task, trajectory)
        return labels, weights if empty_context else weights.at[0].set(0.0)

    return label


def hindsight_expert(algorithm: Algorithm) -> Expert:
    """What an algorithm would do at every step, had it seen the whole trajectory.

    Approximate DPT's expert (Lin, Bai and Mei 2023, arXiv 2310.08566, Section 3): the
    label is inferred from the data, not read off the task.

    Raises:
        ValueError: if it has no `action_probabilities`.
    """
    probabilities = require_probabilities(algorithm)

    def label(key: Key, task: Task, trajectory: Trajectory, query: Any = None):
        del key
        require(query is None, "hindsight answers no query; use step", "a query")

        def learn(agent: Any, now: tuple[Any, ...]):
            return algorithm.update(agent, *now), None

        steps = trajectory.obs, trajectory.action, trajectory.timestep
        informed, _ = jax.lax.scan(learn, algorithm.init(), steps)
        informed = algorithm.begin_episode(jax.random.key(0), informed)  # it may plan
        obs = jax.tree.map(
            lambda shown, last: jnp.concatenate([shown, last[None]]),
            trajectory.obs,
            trajectory.final_obs,
        )
        labels = jax.vmap(probabilities, (None, 0))(informed, obs)
        return labels, _decided(task, trajectory)

    return label


def _episodes(task: Task, trajectory: Trajectory) -> int:
    """Episodes of a trajectory: whole ones, or a part of one."""
    return max(1, trajectory.action.shape[0] // task.horizon)


def _decided(task: Task, trajectory: Trajectory) -> Float[Array, " decisions"]:
    """1 for every decision that is one.

    Not where an episode has terminated, and not after the last step of an MDP, whose
    episode is over; a bandit's last decision stands for one more pull. A task without
    gaps does not say which it is.
    """
    gaps = gaps_of(task, trajectory.final_state)
    more = jnp.zeros((), bool) if gaps is None else (gaps > 0).any()
    open_end = trajectory.valid[-1] & more
    return jnp.append(trajectory.valid, open_end).astype(jnp.float32)
