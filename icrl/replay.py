"""What an algorithm would do with a prefix of another agent's trajectory."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Key
from icrl.algorithms.base import Algorithm, require_probabilities, require_room
from icrl.rollout import Trajectory


def replay(
    key: Key, algorithm: Algorithm, trajectory: Trajectory, *, num_episodes: int = 1
) -> Int[Array, " decisions"]:
    """What `algorithm` would do after every prefix of another agent's trajectory.

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

    def decide(agent: Any, t: Int[Array, ""], obs: Any):
        return algorithm.act(jax.random.fold_in(key_act, t), agent, obs)

    return _at_every_prefix(key_begin, algorithm, trajectory, decide, num_episodes)


def predictions(
    algorithm: Algorithm, trajectory: Trajectory, *, num_episodes: int = 1
) -> Float[Array, "decisions actions"]:
    """The action probabilities of `algorithm` after every prefix of a trajectory.

    For algorithms without randomness of their own at the start of an episode.

    Args:
        algorithm: the agent.
        trajectory: one trajectory.
        num_episodes: episodes in it.

    Raises:
        ValueError: if the algorithm has no `action_probabilities`.
    """
    probabilities = require_probabilities(algorithm)
    unused = jax.random.key(0)

    def decide(agent: Any, t: Int[Array, ""], obs: Any):
        # acting is remembered by some (a model's cache); what they would do is unused
        after, _ = algorithm.act(jax.random.fold_in(unused, t), agent, obs)
        return after, probabilities(agent, obs)

    return _at_every_prefix(unused, algorithm, trajectory, decide, num_episodes)


def draws(
    key: Key,
    algorithm: Algorithm,
    trajectory: Trajectory,
    *,
    num_actions: int,
    num_draws: int,
    num_episodes: int = 1,
) -> Float[Array, "decisions actions"]:
    """The shares of the actions among several choices of `algorithm` at every prefix.

    What is drawn at one prefix is independent of what is drawn at another. For
    algorithms that remember nothing of how they acted.

    Args:
        key: draws the choices.
        algorithm: the learner.
        trajectory: the data.
        num_actions: of the task.
        num_draws: choices at each prefix.
        num_episodes: episodes in the trajectory.
    """
    key_begin, key_act = jax.random.split(key)
    states = _at_every_prefix(
        key_begin,
        algorithm,
        trajectory,
        lambda agent, t, obs: (agent, agent),
        num_episodes,
    )
    observations = _append(trajectory.obs, trajectory.final_obs)
    num_decisions = trajectory.action.shape[0] + 1

    def chosen(key: Key, state: Any, obs: Any) -> Array:
        return algorithm.act(key, state, obs)[1]

    def one_each(words: Array) -> Int[Array, " decisions"]:
        keys = jax.random.wrap_key_data(words, impl=jax.random.key_impl(key))
        return jax.vmap(chosen)(keys, states, observations)

    keys = jax.random.split(key_act, (num_draws, num_decisions))
    # a loop over draws: XLA would draw anew for each action whose share is counted
    actions = jax.lax.map(one_each, jax.random.key_data(keys))
    return jax.nn.one_hot(actions, num_actions).mean(0)


def answers(
    algorithm: Algorithm, trajectory: Trajectory, queries: Any
) -> Float[Array, "decisions actions"]:
    """The action probabilities of `algorithm` at queries, given prefixes of the data.

    Answer n is about observation n of `queries`, for an agent that begins an episode
    with the valid ones among the first n transitions as its data.

    Args:
        algorithm: the agent, without randomness of its own at the start of an episode.
        trajectory: one trajectory; its transitions may be in any order.
        queries: an observation for every decision: [decisions, ...]; or one for all.

    Raises:
        ValueError: if the algorithm has no `action_probabilities`.
    """
    probabilities, unused = require_probabilities(algorithm), jax.random.key(0)
    num_steps = trajectory.action.shape[0]
    require_room(algorithm, num_steps)
    queries = jnp.broadcast_to(queries, num_steps + 1)

    def answer(agent: Any, query: Any) -> Array:
        return probabilities(algorithm.begin_episode(unused, agent), query)

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


def _at_every_prefix(
    key: Key,
    algorithm: Algorithm,
    trajectory: Trajectory,
    decide: Any,
    num_episodes: int,
) -> Any:
    """Decisions of a learner before every step of a trajectory and after the last."""

    def begin(agent: Any, number: Int[Array, ""]) -> Any:
        return algorithm.begin_episode(jax.random.fold_in(key, number), agent)

    def step(agent: Any, now: tuple[Any, ...]):
        t, obs, taken, timestep = now
        agent, answer = decide(agent, t, obs)
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
    if num_episodes == 1:
        agent, answers = episode(algorithm.init(), (jnp.zeros((), int), steps))
    else:
        steps = jax.tree.map(lambda x: x.reshape(num_episodes, -1, *x.shape[1:]), steps)
        numbers = jnp.arange(num_episodes)
        agent, answers = jax.lax.scan(episode, algorithm.init(), (numbers, steps))
        answers = jax.tree.map(lambda x: x.reshape(num_steps, *x.shape[2:]), answers)
    last_agent = begin(agent, jnp.asarray(num_episodes)) if num_episodes > 1 else agent
    _, last = decide(last_agent, jnp.asarray(num_steps), trajectory.final_obs)
    return _append(answers, last)


def _append(steps: Any, last: Any) -> Any:
    """Trees of steps with what comes after the last step at their end."""
    return jax.tree.map(lambda x, end: jnp.concatenate([x, end[None]]), steps, last)
