"""Ways to collect a context other than by playing episodes from their start.

Each gives `(key_noise, key_agent, task) -> Trajectory`, what `Pretraining.collect` is.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from envs.base import (
    Family,
    Key,
    Task,
    gap_of,
    require,
    require_discrete,
    require_state,
)
from icrl.algorithms.base import Algorithm
from icrl.pretraining.examples import Collect
from icrl.rollout import Trajectory, rollout


def independent_pairs(family: Family, num_steps: int) -> Collect:
    """Uniform states and actions, one transition from each: a generative model.

    Source: the released code of Lee et al. 2023, arXiv 2306.14892, for Dark Room; the
    paper has a uniform policy.

    Args:
        family: with integer observations that determine the state.
        num_steps: transitions.

    Raises:
        ValueError: if observations are real-valued, or `num_steps` is below 1.
    """
    num_observations = require_discrete("independent_pairs", family).n
    require(num_steps >= 1, "num_steps must be at least 1", num_steps)

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        key_state, key_act = jax.random.split(key_agent)
        obs = jax.random.randint(key_state, (num_steps,), 0, num_observations)
        action = jax.random.randint(key_act, (num_steps,), 0, family.num_actions)

        def step(obs: Int[Array, ""], action: Int[Array, ""], key: Key):
            start = jnp.zeros((), jnp.int32)
            state = require_state("independent_pairs", task, start, obs)
            after, timestep = task.step(key, state, action)
            return state, after, timestep, gap_of(task, state, action)

        keys = jax.random.split(key_noise, num_steps)
        states, after, timestep, gap = jax.vmap(step)(obs, action, keys)
        # each is an episode of its own: nothing that follows comes after its end
        timestep = timestep._replace(truncated=jnp.ones(num_steps, bool))
        return Trajectory(
            state=states,
            obs=obs,
            action=action,
            timestep=timestep,
            gap=gap,
            valid=jnp.ones(num_steps, bool),
            final_state=jax.tree.map(lambda x: x[-1], after),
            final_obs=timestep.obs[-1],
        )

    return collect


def thinned_history(
    algorithm: Algorithm, *, num_episodes: int, every: int = 1
) -> Collect:
    """A learning history of which only every so-many-th episode is kept.

    Learning looks faster by that factor, and a context holds more of it.

    Source: Laskin et al. 2022, arXiv 2210.14215, Section 4 (subsampling of histories).

    Args:
        algorithm: who learns.
        num_episodes: episodes kept.
        every: distance between two of them in the history; the last one is kept.

    Raises:
        ValueError: if a number is below 1.
    """
    require(num_episodes >= 1, "num_episodes must be at least 1", num_episodes)
    require(every >= 1, "every must be at least 1", every)

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        played = num_episodes * every
        history = rollout(key_noise, key_agent, task, algorithm, num_episodes=played)

        def thin(x: Array) -> Array:
            episodes = x.reshape(num_episodes, every, task.horizon, *x.shape[1:])
            return episodes[:, -1].reshape(-1, *x.shape[1:])

        kept = jax.tree.map(thin, history._replace(final_state=None, final_obs=None))
        return kept._replace(
            final_state=history.final_state, final_obs=history.final_obs
        )

    return collect


def part_of_rollout(
    algorithm: Algorithm, *, num_episodes: int, rollout_episodes: int
) -> Collect:
    """A few episodes in a row of a longer rollout, from any of its first ones on.

    What an agent did in them depends on what it saw before. So they are no context for
    labels that know the task; action probabilities given the context alone are right.

    Args:
        algorithm: the behaviour policy.
        num_episodes: episodes kept.
        rollout_episodes: episodes of the whole rollout.

    Raises:
        ValueError: unless 1 <= `num_episodes` <= `rollout_episodes`.
    """
    rule = f"num_episodes must lie in [1, {rollout_episodes}], the rollout's length"
    require(1 <= num_episodes <= rollout_episodes, rule, num_episodes)

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        key_start, key_agent = jax.random.split(key_agent)
        whole = rollout(
            key_noise, key_agent, task, algorithm, num_episodes=rollout_episodes
        )
        start = jax.random.randint(
            key_start, (), 0, rollout_episodes - num_episodes + 1
        )
        steps = num_episodes * task.horizon

        def keep(x: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(x, start * task.horizon, steps)

        kept = jax.tree.map(keep, whole._replace(final_state=None, final_obs=None))
        return kept._replace(final_state=whole.final_state, final_obs=whole.final_obs)

    return collect


def in_other_task(
    collect: Collect, change: Callable[[Task], Task], share: float
) -> Collect:
    """The same way to collect, but now and then in another task than the one labelled.

    It fits labels that do not read the task, such as probabilities given the context.

    Args:
        collect: the way.
        change: `task -> task`: the other task.
        share: probability of the other task.

    Raises:
        ValueError: if `share` is no probability.
    """
    require(0 <= share <= 1, "share must lie in [0, 1]", share)

    def collected(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        key_which, key_agent = jax.random.split(key_agent)
        other = jax.random.uniform(key_which) < share
        choose = functools.partial(jnp.where, other)
        return collect(key_noise, key_agent, jax.tree.map(choose, change(task), task))

    return collected


def any_state(
    family: Family, num_queries: int | None = None, *, visited: float = 0.0
) -> Callable[[Key, Trajectory], Int[Array, "..."]]:
    """`(key, trajectory) -> obs`: a query state, each equally likely.

    An agent that has found a goal comes to few states, and to the same ones over and
    over: `visited` is how often one of them is the query instead.

    Args:
        family: with integer observations.
        num_queries: how many; a single one, without an axis, if None.
        visited: probability that it is the state that some step of the data leads to.

    Raises:
        ValueError: if `visited` is no probability.
    """
    require(0 <= visited <= 1, "visited must lie in [0, 1]", visited)
    shape = () if num_queries is None else (num_queries,)
    num_observations = require_discrete("any_state", family).n

    def query(key: Key, trajectory: Trajectory) -> Int[Array, "..."]:
        if visited == 0:
            return jax.random.randint(key, shape, 0, num_observations)
        key_any, key_step, key_which = jax.random.split(key, 3)
        anywhere = jax.random.randint(key_any, shape, 0, num_observations)
        after = trajectory.timestep.obs
        step = jax.random.randint(key_step, shape, 0, after.shape[0])
        at_visited = jax.random.uniform(key_which, shape) < visited
        return jnp.where(at_visited, after[step], anywhere)

    return query


def episodes_of(make: Callable[[Task], Algorithm], *, num_episodes: int = 1) -> Collect:
    """Episodes that an algorithm made from the task plays, like `optimal`."""

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        return rollout(
            key_noise, key_agent, task, make(task), num_episodes=num_episodes
        )

    return collect


def either(one: Collect, other: Collect, share: float) -> Collect:
    """The first with probability `share`, else the second; of the same length.

    Raises:
        ValueError: if `share` is no probability.
    """
    require(0 <= share <= 1, "share must lie in [0, 1]", share)

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        key_which, *keys_agent = jax.random.split(key_agent, 3)
        first = jax.random.uniform(key_which) < share
        keys = zip(jax.random.split(key_noise), keys_agent, strict=True)
        ways = zip((one, other), keys, strict=True)
        found = [way(noise, agent, task) for way, (noise, agent) in ways]
        return jax.tree.map(lambda a, b: jnp.where(first, a, b), *found)

    return collect


def demonstration(
    start: Callable[[Key, Task], Int[Array, ""]],
    policy: Callable[[Task, Int[Array, ""]], Int[Array, ""]],
) -> Collect:
    """One episode from a chosen state, by a policy that knows the task.

    Args:
        start: `(key, task) -> obs` of the state that it begins in.
        policy: `(task, obs) -> action`.
    """

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        first = start(key_agent, task)
        begin = jnp.zeros((), jnp.int32)
        state = require_state("a demonstration", task, begin, first)

        def step(now: tuple[Any, Any], t: Int[Array, ""]):
            state, obs = now
            action = policy(task, obs)
            key = jax.random.fold_in(key_noise, t)
            after, timestep = task.step(key, state, action)
            gap = gap_of(task, state, action)
            return (after, timestep.obs), (state, obs, action, timestep, gap)

        (final_state, final_obs), steps = jax.lax.scan(
            step, (state, first), jnp.arange(task.horizon)
        )
        return Trajectory(
            *steps,
            valid=jnp.ones(task.horizon, bool),
            final_state=final_state,
            final_obs=final_obs,
        )

    return collect


def in_either_order(one: Collect, other: Collect) -> Collect:
    """The data of both, of the same length; which stands first is a coin's choice."""

    def collect(key_noise: Key, key_agent: Key, task: Task) -> Trajectory:
        key_order, *keys_agent = jax.random.split(key_agent, 3)
        keys = zip(jax.random.split(key_noise), keys_agent, strict=True)
        ways = zip((one, other), keys, strict=True)
        found = [way(noise, agent, task) for way, (noise, agent) in ways]
        coin = jax.random.bernoulli(key_order)
        first, last = (
            jax.tree.map(functools.partial(jnp.where, side), *found)
            for side in (coin, ~coin)
        )
        steps = [x._replace(final_state=None, final_obs=None) for x in (first, last)]
        both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *steps)
        return both._replace(final_state=last.final_state, final_obs=last.final_obs)

    return collect
