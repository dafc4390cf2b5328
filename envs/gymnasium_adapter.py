"""Gymnasium environments over families: `gymnasium.make("icrl/NAME", horizon=50)`.

`import icrl` gives every family its id (`icrl/gymnasium_ids.py`). The step is jitted,
and what comes out is NumPy arrays and Python numbers. `info` of a step says of the
action just taken:

    regret: V* - Q*(action), exact and without noise, in reward units
    optimal_action: an action of no regret, in the state that the action answered

and is without both where a task cannot tell its gaps.

Which task `reset` plays, the first rule that applies:

    1. `reset(options={"task": task})` plays that task;
    2. `Env(..., task=task)` always plays that one;
    3. `reset(seed=...)` and the first reset draw a fresh task;
    4. any other reset draws a fresh task too, or keeps the last one where
       `new_task_each_episode` is false (several episodes to learn one task).

A family whose tasks have a picture (`envs/viewer.py`) renders it as an array of pixels:
`gymnasium.make("icrl/DarkRoom-DPT-v0", render_mode="rgb_array")`.

The same seed and actions give the same tasks, observations and rewards; environment i
of a vector seeded with s is the single environment seeded with s + i.

Over 300 lines: a single and a vector environment, which must draw, start and step
alike, share what they are made of.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs import registry, viewer
from envs.base import Family, Key, State, Task, TimeStep, gaps_of
from envs.observation import Discrete

_TASK, _RESET, _FIRST_STEP = 0, 1, 2  # streams of an episode's key


class _Step(NamedTuple):
    """What a step gives, before it leaves JAX."""

    state: State
    timestep: TimeStep
    info: dict[str, jax.Array]


def _draw(family: Family, key: Key, episode: jax.Array) -> Task:
    return family.sample(jax.random.fold_in(jax.random.fold_in(key, episode), _TASK))


def _start(key: Key, episode: jax.Array, task: Task) -> tuple[State, Any]:
    return task.reset(jax.random.fold_in(jax.random.fold_in(key, episode), _RESET))


def _step(
    key: Key,
    episode: jax.Array,
    time: jax.Array,
    task: Task,
    state: State,
    action: jax.Array,
) -> _Step:
    gaps, info = gaps_of(task, state), {}
    if gaps is not None:
        info = {"regret": gaps[action], "optimal_action": jnp.argmin(gaps)}
    key_step = jax.random.fold_in(jax.random.fold_in(key, episode), _FIRST_STEP + time)
    state, timestep = task.step(key_step, state, action)
    return _Step(state=state, timestep=timestep, info=info)


def _choose(first: jax.Array, one: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


_draw_one = jax.jit(_draw, static_argnums=0)
_start_one = jax.jit(_start)
_step_one = jax.jit(_step)
_draw_all = jax.jit(jax.vmap(_draw, (None, 0, 0)), static_argnums=0)
_start_all = jax.jit(jax.vmap(_start))
_step_all = jax.jit(jax.vmap(_step))
_choose_each = jax.jit(jax.vmap(_choose))
_keys = jax.jit(jax.vmap(jax.random.key))


class Env(gymnasium.Env[Any, Any]):
    """One environment of a family.

    Args:
        family: a registered name, or a family.
        task: the task to play always; by default they are drawn.
        new_task_each_episode: whether a plain `reset()` draws a fresh task.
        render_mode: "rgb_array", or None where nothing is to be seen.
        changes: fields of the family to change, as in `envs.family`.

    Raises:
        ValueError: if there is no such family or field, a value breaks its rule, or
            the family's tasks have no picture to render.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own)
        "render_modes": ["rgb_array"],
        "render_fps": 8,
    }

    def __init__(
        self,
        family: str | Family,
        *,
        task: Any = None,
        new_task_each_episode: bool = True,
        render_mode: str | None = None,
        **changes: Any,
    ):
        self.family = _family(family, changes)
        if not _has_picture(self.family if task is None else task):
            self.metadata = {"render_modes": []}
        _require_render_mode(self, render_mode)
        self.render_mode = render_mode
        self.observation_space = observation_space(self.family)
        self.action_space = spaces.Discrete(self.family.num_actions)
        self.task = task  # the one being played; read it to know the answer
        self._fixed_task = task
        self._new_task_each_episode = new_task_each_episode
        self._key: Key | None = None
        self._episode = self._time = 0
        self._state: State = None
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; the module's text says of which task.

        Raises:
            ValueError: if `options` holds anything but "task".
        """
        super().reset(seed=seed)
        task = _task_of(options, self._fixed_task)
        if seed is not None or self._key is None:
            self._key = jax.random.key(_word(self.np_random))
            self._episode, fresh = 0, True
        else:
            self._episode, fresh = self._episode + 1, self._new_task_each_episode
        if task is None and (fresh or self.task is None):
            task = _draw_one(self.family, self._key, self._episode)
        self.task = self.task if task is None else task
        self._state, obs = _start_one(self._key, self._episode, self.task)
        self._time, self._over = 0, False
        return self._out(obs), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes an action.

        Raises:
            ValueError: if there is no such action.
            gymnasium.error.ResetNeeded: if no episode is running.
        """
        _require_running(not self._over)
        action = int(_whole_actions(self.action_space, action))
        now = (self._key, self._episode, self._time)
        out = _step_one(*now, self.task, self._state, action)
        self._state = out.state
        self._time += 1
        timestep, info = jax.device_get((out.timestep, out.info))
        terminated, truncated = bool(timestep.terminated), bool(timestep.truncated)
        self._over = terminated or truncated
        info = {name: value.item() for name, value in info.items()}
        obs, reward = self._out(timestep.obs), float(timestep.reward)
        return obs, reward, terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """The task as it stands, [height, width, 3] in red, green and blue.

        None where no `render_mode` was asked for, as Gymnasium has it.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self.render_mode is None:
            return None
        _require_running(self._key is not None)
        return viewer.render(self.task, jax.device_get(self._state))

    def _out(self, obs: Any) -> Any:
        if isinstance(self.observation_space, spaces.Discrete):
            return int(obs)
        return np.array(obs, self.observation_space.dtype)


class VectorEnv(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """Environments of a family side by side, each with a task of its own.

    Autoreset is Gymnasium's NEXT_STEP: the step that ends an episode returns its last
    observation; the next one ignores that environment's action, begins its next episode
    and returns the first observation with reward 0. `info` marks with `_regret` and
    `_optimal_action` which environments really took a step.

    Args:
        family: a registered name, or a family.
        num_envs: how many.
        task: the tasks to play always, stacked along a leading axis of `num_envs`.
        new_task_each_episode: whether an autoreset, or a plain `reset()`, draws fresh
            tasks.
        changes: fields of the family to change, as in `envs.family`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own)
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        family: str | Family,
        num_envs: int = 1,
        *,
        task: Any = None,
        new_task_each_episode: bool = True,
        **changes: Any,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.num_envs = num_envs
        self.family = _family(family, changes)
        self.single_observation_space = observation_space(self.family)
        self.single_action_space = spaces.Discrete(self.family.num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.task = task  # the ones being played; read them to know the answer
        _require_batch(task, num_envs)
        self._fixed_task = task
        self._new_task_each_episode = new_task_each_episode
        self._key: Key | None = None
        self._episode = self._time = np.zeros(num_envs, np.int32)
        self._over = np.zeros(num_envs, bool)
        self._state: State = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode everywhere; the module's text says of which tasks.

        Args:
            seed: an integer s seeds environment i with s + i; or one seed for each.
            options: may hold "task", stacked along a leading axis of `num_envs`.

        Raises:
            ValueError: if `options` holds anything else, or the number of seeds or
                tasks is not `num_envs`.
        """
        task = _task_of(options, self._fixed_task)
        _require_batch(task, self.num_envs)
        if seed is not None or self._key is None:
            self._key = _keys(self._words(seed))
            self._episode, fresh = np.zeros_like(self._episode), True
        else:
            self._episode, fresh = self._episode + 1, self._new_task_each_episode
        if task is None and (fresh or self.task is None):
            task = _draw_all(self.family, self._key, self._episode)
        self.task = self.task if task is None else task
        self._state, obs = _start_all(self._key, self._episode, self.task)
        self._time = np.zeros_like(self._time)
        self._over = np.zeros_like(self._over)
        return self._out(obs), {}

    def step(
        self, actions: Any
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes an action in each environment, or begins its next episode.

        Raises:
            ValueError: if there is no such action, or their number is not `num_envs`.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        _require_running(self._key is not None)
        actions = _whole_actions(self.action_space, actions)
        key, over = self._key, self._over
        out = _step_all(key, self._episode, self._time, self.task, self._state, actions)
        self._time = np.where(over, 0, self._time + 1).astype(np.int32)
        self._state, obs = out.state, out.timestep.obs
        if over.any():
            obs = self._begin_next_episodes(over, obs)
        timestep, info, obs = jax.device_get((out.timestep, out.info, obs))
        terminated = np.where(over, False, timestep.terminated)
        truncated = np.where(over, False, timestep.truncated)
        reward = np.where(over, 0.0, timestep.reward).astype(np.float64)
        self._over = terminated | truncated
        infos: dict[str, Any] = {}
        for name, value in info.items():
            infos[name] = np.where(over, np.zeros_like(value), value)
            infos[f"_{name}"] = ~over
        return self._out(obs), reward, terminated, truncated, infos

    def _begin_next_episodes(self, over: np.ndarray, obs: Any) -> Any:
        """Replaces task, state and observation wherever the last episode is over."""
        assert self._key is not None
        self._episode = self._episode + over
        if self._fixed_task is None and self._new_task_each_episode:
            drawn = _draw_all(self.family, self._key, self._episode)
            self.task = _choose_each(over, drawn, self.task)
        start = _start_all(self._key, self._episode, self.task)
        self._state, obs = _choose_each(over, start, (self._state, obs))
        return obs

    def _words(self, seed: int | Sequence[int | None] | None) -> np.ndarray:
        """One word for every environment, the one that the single `Env` would draw."""
        if seed is None or isinstance(seed, (int, np.integer)):
            first = None if seed is None else int(seed)
            self._np_random, self._np_random_seed = seeding.np_random(first)
            seeds = [
                self._np_random_seed + i if first is not None else None
                for i in range(self.num_envs)
            ]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must hold {self.num_envs} seeds, got {len(seeds)}")
        return np.stack([_word(seeding.np_random(one)[0]) for one in seeds])

    def _out(self, obs: Any) -> np.ndarray:
        return np.array(obs, self.observation_space.dtype)


def observation_space(family: Family) -> spaces.Space[Any]:
    """The space of one observation of the family."""
    space = family.observation
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    return spaces.Box(*space.bounds, space.shape, np.float32)


def _family(family: str | Family, changes: dict[str, Any]) -> Family:
    if isinstance(family, str):
        return registry.family(family, **changes)
    return family.replace(**changes)


def _has_picture(source: Any) -> bool:
    if isinstance(source, Family):
        return _draws_pictures(source)
    return isinstance(source, viewer.HasPicture)


@functools.lru_cache
def _draws_pictures(family: Family) -> bool:
    """Whether its tasks have a picture; one is drawn in the abstract, at no cost."""
    answers = []

    def draw(key: Key) -> None:
        answers.append(isinstance(family.sample(key), viewer.HasPicture))

    jax.eval_shape(draw, jax.random.key(0))
    return answers[0]


def _require_render_mode(env: Env, render_mode: str | None) -> None:
    modes = env.metadata["render_modes"]
    if render_mode is None or render_mode in modes:
        return
    if modes:
        raise ValueError(f"render_mode must be rgb_array or None, got {render_mode!r}")
    name = env.family.name or f"a {type(env.family).__name__}"
    raise ValueError(f"render_mode must be None, as {name} has no picture")


def _task_of(options: dict[str, Any] | None, otherwise: Any) -> Any:
    unknown = sorted(set(options or {}) - {"task"})
    if unknown:
        raise ValueError(f"options may hold 'task' only, got {', '.join(unknown)}")
    return (options or {}).get("task", otherwise)


def _word(random: np.random.Generator) -> np.uint32:
    return random.integers(2**32, dtype=np.uint32)


def _require_batch(task: Any, num_envs: int) -> None:
    sizes = sorted({np.shape(leaf)[:1] for leaf in jax.tree.leaves(task)})
    if sizes not in ([], [(num_envs,)]):
        raise ValueError(
            f"task must be {num_envs} tasks stacked along a leading axis, "
            f"got leading axes {sizes}"
        )


def _whole_actions(space: spaces.Space[Any], action: Any) -> np.ndarray:
    """The action, or the actions of a vector, of whatever kind of whole numbers.

    Raises:
        ValueError: if there is no such action: it is not whole (true is no number), or
            out of the space.
    """
    try:
        actions = np.asarray(action)
    except ValueError:  # rows of different lengths
        actions = np.empty(0)
    whole = np.issubdtype(actions.dtype, np.integer)
    actions = actions.astype(np.int64) if whole else actions
    if not whole or not space.contains(actions):
        raise ValueError(f"an action must lie in {space}, got {action}")
    return actions


def _require_running(running: bool) -> None:
    if not running:
        raise gymnasium.error.ResetNeeded("no episode is running: call reset() first")
