"""The one interaction loop: an algorithm meets a task."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import Key, Task, TimeStep, gap_of, require
from icrl.algorithms.base import Algorithm, require_interface


class Trajectory(NamedTuple):
    """What an agent met and did, in time order; a batch has leading axes before `time`.

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


class Carry(NamedTuple):
    """An interaction that can go on: what `play` takes and gives.

    Attributes:
        key_reset: folded with an episode's number, draws its first state.
        key_noise: folded with a step's number, draws its noise.
        key_begin: folded with an episode's number, for the agent's `begin_episode`.
        key_act: folded with a step's number, draws the agent's choice.
        task_state: the task's; before the first step of an episode, the last one's.
        obs: what the agent sees in it.
        agent: the algorithm's state.
        alive: whether the episode has not terminated.
        step: steps played so far, over all episodes: a number known to Python until
            the carry crosses a `jit`, `vmap` or `scan`, an array after that.
    """

    key_reset: Key
    key_noise: Key
    key_begin: Key
    key_act: Key
    task_state: Any
    obs: Any
    agent: Any
    alive: Bool[Array, ""]
    step: int | Int[Array, ""]


def begin(key_task: Key, key_agent: Key, task: Task, algorithm: Algorithm) -> Carry:
    """The carry before the first step; `rollout` describes the arguments."""
    key_reset, key_noise = jax.random.split(key_task)
    key_begin, key_act = jax.random.split(key_agent)
    # only shapes: the first step begins an episode of its own
    task_state, obs = task.reset(jax.random.fold_in(key_reset, 0))
    return Carry(
        key_reset=key_reset,
        key_noise=key_noise,
        key_begin=key_begin,
        key_act=key_act,
        task_state=task_state,
        obs=obs,
        agent=algorithm.init(),
        alive=jnp.ones((), bool),
        step=0,
    )


def play(
    carry: Carry,
    task: Task,
    algorithm: Algorithm,
    num_steps: int,
    *,
    offset: int | None = None,
) -> tuple[Carry, Trajectory]:
    """Goes on for `num_steps` steps; episodes begin and end inside.

    Playing 3 times 7 steps equals playing 21 at once, whatever the horizon is.

    Args:
        carry: made by `begin` or an earlier `play`.
        task: the task.
        algorithm: the agent; its parameters may have changed since, its state not.
        num_steps: steps, over all episodes.
        offset: steps of the current episode that are already played. Where it is known
            before tracing (here, or as the carry's own number), whole episodes are an
            outer loop, and an agent plans once an episode. Otherwise the start of an
            episode is a condition at each step, whose both sides are computed where
            `vmap` gives every stream a step counter of its own.

    Raises:
        ValueError: if `num_steps` is below 1.
    """
    require(num_steps >= 1, "num_steps must be at least 1", num_steps)
    if offset is None and isinstance(carry.step, int):
        offset = carry.step % task.horizon
    if offset is None:
        return _play_steps(carry, task, algorithm, num_steps, episodes_begin=True)
    parts = []
    rest = min(num_steps, -offset % task.horizon)
    whole, more = divmod(num_steps - rest, task.horizon)
    if (whole, more) == (1, 0):  # one episode needs no loop over episodes
        whole, more = 0, task.horizon
    if rest:
        carry, part = _play_steps(carry, task, algorithm, rest)
        parts.append(part)
    if whole:
        carry, part = _play_episodes(carry, task, algorithm, whole)
        parts.append(part)
    if more:
        number = jnp.asarray(carry.step // task.horizon)
        carry = _with(carry, _begin_episode(carry, task, algorithm, number))
        carry, part = _play_steps(carry, task, algorithm, more)
        parts.append(part)
    if len(parts) == 1:
        return carry, parts[0]
    steps = [part._replace(final_state=None, final_obs=None) for part in parts]
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *steps)
    return carry, joined._replace(final_state=carry.task_state, final_obs=carry.obs)


def rollout(
    key_task: Key,
    key_agent: Key,
    task: Task,
    algorithm: Algorithm,
    *,
    num_episodes: int = 1,
    num_steps: int | None = None,
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
        num_episodes: episodes to play; a longer trajectory begins with the shorter one.
        num_steps: steps to play where not all of the episodes are.

    Raises:
        ValueError: if the algorithm was made for other tasks, or for fewer steps.
    """
    require_interface(algorithm, task, num_episodes)
    carry = begin(key_task, key_agent, task, algorithm)
    if num_steps is None:
        num_steps = num_episodes * task.horizon
    return play(carry, task, algorithm, num_steps)[1]


def _with(carry: Carry, now: tuple[Any, ...], **changes: Any) -> Carry:
    """The carry with another task state, observation, agent and `alive`."""
    task_state, obs, agent, alive = now
    return carry._replace(
        task_state=task_state, obs=obs, agent=agent, alive=alive, **changes
    )


def _begin_episode(
    carry: Carry, task: Task, algorithm: Algorithm, number: Int[Array, ""]
) -> tuple[Any, ...]:
    """Task state, observation, agent and `alive` at the start of an episode."""
    task_state, obs = task.reset(jax.random.fold_in(carry.key_reset, number))
    key_begin = jax.random.fold_in(carry.key_begin, number)
    agent = algorithm.begin_episode(key_begin, carry.agent)
    return task_state, obs, agent, jnp.ones((), bool)


def _begin_at_the_boundary(
    carry: Carry, task: Task, algorithm: Algorithm
) -> tuple[Any, ...]:
    """The same where the next step is an episode's first; else what there is."""
    names = "key_reset", "key_begin"
    # as plain numbers: `vmap` of a condition uses what it reads in both branches
    data = [jax.random.key_data(getattr(carry, name)) for name in names]

    def begun(now: tuple[Any, ...], data: list[Array]) -> tuple[Any, ...]:
        keys = [
            jax.random.wrap_key_data(x, impl=jax.random.key_impl(getattr(carry, name)))
            for name, x in zip(names, data, strict=True)
        ]
        here = _with(carry, now, key_reset=keys[0], key_begin=keys[1])
        number = jnp.asarray(carry.step // task.horizon)
        return _begin_episode(here, task, algorithm, number)

    at_start = carry.step % task.horizon == 0
    return jax.lax.cond(at_start, begun, lambda now, data: now, carry[4:8], data)


def _play_steps(
    carry: Carry,
    task: Task,
    algorithm: Algorithm,
    num_steps: int,
    *,
    episodes_begin: bool = False,
) -> tuple[Carry, Trajectory]:
    """Steps of one episode; or, where episodes may begin, of several."""

    def step(now: tuple[Any, ...], t: Int[Array, ""]):
        if episodes_begin:
            here = _with(carry, now, step=t)
            now = _begin_at_the_boundary(here, task, algorithm)
        task_state, obs, agent, alive = now
        agent, action = algorithm.act(jax.random.fold_in(carry.key_act, t), agent, obs)
        after, timestep = task.step(
            jax.random.fold_in(carry.key_noise, t), task_state, action
        )
        agent = algorithm.update(agent, obs, action, timestep)
        gap = gap_of(task, task_state, action)
        if gap is not None:
            gap = jnp.where(alive, gap, 0.0)
        record = task_state, obs, action, timestep, gap, alive
        return (after, timestep.obs, agent, alive & ~timestep.terminated), record

    now, records = jax.lax.scan(step, carry[4:8], carry.step + jnp.arange(num_steps))
    carry = _with(carry, now, step=carry.step + num_steps)
    ends = {"final_state": carry.task_state, "final_obs": carry.obs}
    return carry, Trajectory(*records, **ends)


def _play_episodes(
    carry: Carry, task: Task, algorithm: Algorithm, num_episodes: int
) -> tuple[Carry, Trajectory]:
    """Whole episodes as an outer loop, so that planning is part of no condition."""
    first = carry.step

    def episode(agent: Any, number: Int[Array, ""]):
        here = carry._replace(agent=agent)
        begun = _begin_episode(here, task, algorithm, number)
        start = _with(carry, begun, step=number * task.horizon)
        end, played = _play_steps(start, task, algorithm, task.horizon)
        return end.agent, (played, end.alive)

    agent, (played, alive) = jax.lax.scan(
        episode, carry.agent, first // task.horizon + jnp.arange(num_episodes)
    )
    final_state, final_obs, alive = jax.tree.map(
        lambda x: x[-1], (played.final_state, played.final_obs, alive)
    )
    steps = played._replace(final_state=None, final_obs=None)
    steps = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)
    carry = carry._replace(
        task_state=final_state,
        obs=final_obs,
        agent=agent,
        alive=alive,
        step=first + num_episodes * task.horizon,
    )
    return carry, steps._replace(final_state=final_state, final_obs=final_obs)
