"""A family under the contract test: random episodes of it, and what they measure.

Gaps are measured as returns: how much the first action loses, where the actions of
least gap follow it, and each action meets the same noise.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import Family, Key, State, Task, TimeStep, gaps_of, rebuilt_state

Gaps = np.ndarray | jax.Array  # [actions]

NUM_PLAYS = 16  # random episodes that most checks look at
NUM_TASKS = 4  # tasks of which mean rewards and returns are measured
NUM_REWARDS = 4000  # draws of a reward, for every task and action
NUM_STEPS = 2_000_000  # environment steps spent on measuring returns, each time
TOLERANCE = 1e-5  # of exact quantities in float32, relative to their size
STANDARD_ERRORS = 5.0


class Play(NamedTuple):
    """One random episode, in time order; gaps are None where a task has none."""

    task: Any
    state: Any  # before the action
    obs: Any
    action: jax.Array
    timestep: TimeStep
    gaps: jax.Array | None
    gaps_from_obs: jax.Array | None  # of the state rebuilt from the observation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A family, and what several checks want to know of it."""

    family: Family
    brute_force: Callable[[Task, State], Gaps] | None

    @functools.cached_property
    def plays(self) -> Play:
        """Random episodes [plays, time, ...] of as many tasks."""
        play = functools.partial(_random_play, self.family)
        return jax.jit(jax.vmap(play))(jnp.arange(NUM_PLAYS))

    def plain_play(self) -> Play:
        """The first steps of the first of them, without jit, vmap or scan."""
        with jax.debug_key_reuse(True):
            num_steps = min(3, self.family.horizon)
            return _random_play(self.family, jnp.asarray(0), num_steps, _plain_scan)

    @functools.cached_property
    def gaps(self) -> np.ndarray | None:
        """Gaps [plays, time, actions] along the random episodes."""
        return None if self.plays.gaps is None else np.asarray(self.plays.gaps)

    @functools.cached_property
    def play_on(self) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """`_play_on`, for tasks, actions and draws at once, compiled once."""
        play = functools.partial(_play_on, num_steps=self.family.horizon)
        return jax.jit(_for_tasks_actions_and_draws(play))


class NotApplicableError(Exception):
    """Says why a rule does not apply to a family; the check counts as passed."""


def _plain_scan(step: Callable[..., Any], carry: Any, times: jax.Array) -> Any:
    """`jax.lax.scan` as a loop in Python."""
    records = []
    for time in times:
        carry, record = step(carry, time)
        records.append(record)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *records)


def _random_play(
    family: Family,
    seed: jax.Array,
    num_steps: int | None = None,
    scan: Any = jax.lax.scan,
) -> Play:
    key_task, key_reset, key_steps = jax.random.split(jax.random.key(seed), 3)
    task = family.sample(key_task)

    def step(carry: tuple[State, Any], time: jax.Array) -> tuple[Any, Any]:
        state, obs = carry
        key_act, key_noise = jax.random.split(jax.random.fold_in(key_steps, time))
        action = jax.random.randint(key_act, (), 0, family.num_actions)
        gaps = gaps_of(task, state)
        rebuilt = rebuilt_state(task, time, obs)
        gaps_from_obs = None if gaps is None or rebuilt is None else task.gaps(rebuilt)
        next_state, timestep = task.step(key_noise, state, action)
        record = (state, obs, action, timestep, gaps, gaps_from_obs)
        return (next_state, timestep.obs), record

    times = jnp.arange(num_steps or family.horizon)
    _, record = scan(step, task.reset(key_reset), times)
    return Play(task, *record)


class Measured(NamedTuple):
    """What first actions cost, in returns; tables are [tasks, actions]."""

    gap: np.ndarray  # as the task says, above the least one
    loss: np.ndarray  # mean return lost against the action of least gap
    standard_error: np.ndarray
    allowed: np.ndarray  # distance between the two
    regret: float  # most, after the first action


def _play_on(
    task: Task, state: State, key: Key, action: jax.Array, num_steps: int
) -> tuple[jax.Array, jax.Array]:
    """Rewards and gaps [num_steps] of `action` and then the actions of least gap."""

    def step(carry: tuple[State, jax.Array], time: jax.Array) -> tuple[Any, Any]:
        state, action = carry
        gap = task.gaps(state)[action]
        state, timestep = task.step(jax.random.fold_in(key, time), state, action)
        return (state, jnp.argmin(task.gaps(state))), (timestep.reward, gap)

    return jax.lax.scan(step, (state, action), jnp.arange(num_steps))[1]


def _for_tasks_actions_and_draws(play: Callable[..., Any]) -> Callable[..., Any]:
    """Every action of a task meets the same noise, which makes their losses paired."""
    play = jax.vmap(play, (None, None, 0, None))  # draws
    play = jax.vmap(play, (None, None, None, 0))  # actions
    return jax.vmap(play, (0, 0, None, None))  # tasks


def num_draws_of(family: Family) -> int:
    """Returns from how many draws returns of a whole episode are measured."""
    num_steps = NUM_TASKS * family.num_actions * family.horizon
    return min(max(NUM_STEPS // num_steps, 32), NUM_REWARDS)


def at(time: int) -> np.ndarray:
    """The same step of every task."""
    return np.full(NUM_TASKS, time)


def measure(
    subject: Subject, times: np.ndarray, num_draws: int, num_steps: int | None = None
) -> Measured:
    """Plays on from the states of these steps, one for each task, by every action."""
    family, plays, each = subject.family, subject.plays, np.arange(NUM_TASKS)
    tasks = jax.tree.map(lambda leaf: leaf[:NUM_TASKS], plays.task)
    states = jax.tree.map(lambda leaf: leaf[each, times], plays.state)
    keys = jax.random.split(jax.random.key(8), num_draws)
    play = subject.play_on
    if num_steps is not None:
        one = functools.partial(_play_on, num_steps=num_steps)
        play = jax.jit(_for_tasks_actions_and_draws(one))
    rewards, gaps = jax.device_get(
        play(tasks, states, keys, jnp.arange(family.num_actions))
    )
    steps_left = (family.horizon - times)[:, None, None, None]
    played = np.arange(rewards.shape[-1]) < steps_left
    returns = np.where(played, rewards, 0).sum(-1, dtype=np.float64)  # ..., draws]
    all_gaps = require_gaps(subject)
    gap = all_gaps[each, times].astype(np.float64)
    loss = returns[each, gap.argmin(-1)][:, None] - returns
    error = loss.std(-1) / math.sqrt(num_draws)
    # n draws all miss an outcome of probability p with probability below exp(-n p): as
    # unlikely as z standard errors where n p is z² / 2. What it may cost is seen over
    # all tasks and actions, as the draws that miss it cannot show it. Where chance
    # changes no loss at all, there is no such outcome.
    rounding = TOLERANCE * (1 + abs(returns).max())
    varies = np.ptp(loss, -1).max()
    cost = max(varies, all_gaps[:, times.min() :].max()) if varies > rounding else 0.0
    rare = STANDARD_ERRORS**2 / 2 * cost / num_draws
    return Measured(
        gap=gap - gap.min(-1, keepdims=True),
        loss=loss.mean(-1),
        standard_error=error,
        allowed=STANDARD_ERRORS * error + rare + rounding,
        regret=float(np.where(played, gaps, 0)[..., 1:].sum(-1).max()),
    )


def require_gaps(subject: Subject) -> np.ndarray:
    """Returns the gaps along the random episodes, where a family has any."""
    if subject.gaps is None:
        raise NotApplicableError("the family has no gaps and is scored by return")
    return subject.gaps
