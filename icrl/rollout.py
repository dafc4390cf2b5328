"""The one interaction loop: an algorithm meets a task."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import Key, Task, TimeStep, gap_of
from icrl.algorithms.base import (
    Algorithm,
    require_interface,
    require_law,
    require_room,
)


class Trajectory(NamedTuple):
    """One life of an agent, in time order; a batch has leading axes before `time`.

    `time` runs over all steps of all episodes. The task's state and observation of step
    t are those that the action of step t answers.
    """

    state: Any  # pytree of [time, ...]: the task's, hidden from the agent
    obs: Any  # [time, ...]
    action: Int[Array, "*batch time"]
    timestep: TimeStep  # what followed: [time, ...]
    # V* - Q*(action), reward units, ≥ 0; 0 if invalid; None if the task cannot give it
    gap: Float[Array, "*batch time"] | None
    valid: Bool[Array, "*batch time"]  # false once an episode has terminated
    final_state: Any  # after the last step
    final_obs: Any


class _Carry(NamedTuple):
    """What one step hands to the next."""

    task_state: Any
    obs: Any
    agent: Any
    alive: Bool[Array, ""]


def rollout(
    key_task: Key,
    key_agent: Key,
    task: Task,
    algorithm: Algorithm,
    *,
    num_episodes: int = 1,
) -> Trajectory:
    """Plays `num_episodes` episodes of one task and keeps everything.

    Written for one task and one agent: `jax.vmap` it over keys, tasks and models. What
    the caller does not use is never computed under `jit`.

    Args:
        key_task: draws the task's noise. Step t of every algorithm given this key meets
            the same noise, which makes comparisons paired.
        key_agent: draws the agent's choices.
        task: the task.
        algorithm: the agent; it keeps its state across episodes.
        num_episodes: episodes to play; a longer life begins with the shorter one.

    Raises:
        ValueError: if the algorithm was made for other tasks, or for fewer steps.
    """
    require_interface(algorithm, task, num_episodes)
    horizon = task.horizon
    key_reset, key_noise = jax.random.split(key_task)
    key_begin, key_act = jax.random.split(key_agent)

    def step(carry: _Carry, t: Int[Array, ""]):
        agent, action = algorithm.act(
            jax.random.fold_in(key_act, t), carry.agent, carry.obs
        )
        task_state, timestep = task.step(
            jax.random.fold_in(key_noise, t), carry.task_state, action
        )
        agent = algorithm.update(agent, carry.obs, action, timestep)
        gap = gap_of(task, carry.task_state, action)
        record = (
            carry.task_state,
            carry.obs,
            action,
            timestep,
            None if gap is None else jnp.where(carry.alive, gap, 0.0),
            carry.alive,
        )
        alive = carry.alive & ~timestep.terminated
        return _Carry(task_state, timestep.obs, agent, alive), record

    def episode(agent: Any, number: Int[Array, ""]):
        task_state, obs = task.reset(jax.random.fold_in(key_reset, number))
        agent = algorithm.begin_episode(jax.random.fold_in(key_begin, number), agent)
        carry = _Carry(task_state, obs, agent, jnp.ones((), bool))
        times = number * horizon + jnp.arange(horizon)
        carry, records = jax.lax.scan(step, carry, times)
        return carry.agent, (records, (carry.task_state, carry.obs))

    _, (records, ends) = jax.lax.scan(
        episode, algorithm.init(), jnp.arange(num_episodes)
    )
    records = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), records)
    final_state, final_obs = jax.tree.map(lambda x: x[-1], ends)
    return Trajectory(*records, final_state=final_state, final_obs=final_obs)


def replay(
    key: Key, algorithm: Algorithm, trajectory: Trajectory, *, num_episodes: int = 1
) -> Int[Array, " decisions"]:
    """What `algorithm` would do after every prefix of somebody else's trajectory.

    The offline setting: decision n is taken with the first n transitions as data, from
    n = 0 to all of them, and is not carried out.

    Args:
        key: draws the agent's choices.
        algorithm: the agent.
        trajectory: one trajectory.
        num_episodes: episodes in it.

    Returns:
        time + 1 actions.
    """
    key_begin, key_act = jax.random.split(key)

    def ask(agent: Any, t: Int[Array, ""], obs: Any):
        return algorithm.act(jax.random.fold_in(key_act, t), agent, obs)

    return _ask_at_every_prefix(key_begin, algorithm, trajectory, ask, num_episodes)


def predictions(
    algorithm: Algorithm, trajectory: Trajectory, *, num_episodes: int = 1
) -> Float[Array, "decisions actions"]:
    """The law of what `algorithm` would do after every prefix of a trajectory.

    For algorithms without randomness of their own at the start of an episode.

    Args:
        algorithm: the agent.
        trajectory: one trajectory.
        num_episodes: episodes in it.

    Raises:
        ValueError: if the algorithm has no `action_probabilities`.
    """
    probabilities = require_law(algorithm)
    unused = jax.random.key(0)

    def ask(agent: Any, t: Int[Array, ""], obs: Any):
        # acting is remembered by some (a model's cache); what they would do is unused
        after, _ = algorithm.act(jax.random.fold_in(unused, t), agent, obs)
        return after, probabilities(agent, obs)

    return _ask_at_every_prefix(unused, algorithm, trajectory, ask, num_episodes)


def answers(
    algorithm: Algorithm, trajectory: Trajectory, queries: Any
) -> Float[Array, "decisions actions"]:
    """The law of what `algorithm` would do elsewhere, knowing a prefix of a trajectory.

    Answer n is about observation n of `queries`, for an agent that begins an episode
    with the valid ones among the first n transitions as its data.

    Args:
        algorithm: the agent, without randomness of its own at the start of an episode.
        trajectory: one trajectory; its transitions may be in any order.
        queries: an observation for every decision: [decisions, ...]; or one for all.

    Raises:
        ValueError: if the algorithm has no `action_probabilities`.
    """
    law, unused = require_law(algorithm), jax.random.key(0)
    num_steps = trajectory.action.shape[0]
    require_room(algorithm, num_steps)
    queries = jnp.broadcast_to(queries, num_steps + 1)

    def answer(agent: Any, query: Any) -> Array:
        return law(algorithm.begin_episode(unused, agent), query)

    def step(agent: Any, now: tuple[Any, ...]):
        query, valid, steps = now
        learnt = algorithm.update(agent, *steps)
        known = jax.tree.map(lambda a, b: jnp.where(valid, a, b), learnt, agent)
        return known, answer(agent, query)

    steps = trajectory.obs, trajectory.action, trajectory.timestep
    agent, before = jax.lax.scan(
        step, algorithm.init(), (queries[:-1], trajectory.valid, steps)
    )
    return jnp.concatenate([before, answer(agent, queries[-1])[None]])


def _ask_at_every_prefix(
    key: Key, algorithm: Algorithm, trajectory: Trajectory, ask: Any, num_episodes: int
) -> Array:
    """Feeds a learner a trajectory and asks it before every step and after the last."""

    def begin(agent: Any, number: Int[Array, ""]) -> Any:
        return algorithm.begin_episode(jax.random.fold_in(key, number), agent)

    def step(agent: Any, now: tuple[Any, ...]):
        t, obs, taken, timestep = now
        agent, answer = ask(agent, t, obs)
        return algorithm.update(agent, obs, taken, timestep), answer

    def episode(agent: Any, now: tuple[Any, ...]):
        number, steps = now
        return jax.lax.scan(step, begin(agent, number), steps)

    num_steps = trajectory.action.shape[0]
    require_room(algorithm, num_steps)
    steps = (
        jnp.arange(num_steps),
        trajectory.obs,
        trajectory.action,
        trajectory.timestep,
    )
    steps = jax.tree.map(lambda x: x.reshape(num_episodes, -1, *x.shape[1:]), steps)
    numbers = jnp.arange(num_episodes)
    agent, answers = jax.lax.scan(episode, algorithm.init(), (numbers, steps))
    answers = answers.reshape(num_steps, *answers.shape[2:])
    last_agent = begin(agent, jnp.asarray(num_episodes)) if num_episodes > 1 else agent
    _, last = ask(last_agent, jnp.asarray(num_steps), trajectory.final_obs)
    return jnp.concatenate([answers, last[None]])
