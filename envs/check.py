"""The contract test: does a family keep what `envs/base.py` promises?

    for check in check_env("GaussianBandit-DPT-v0"):
        print(check)

Each check is a function of a `_Subject` that raises an error naming the rule and the
value where the rule is broken; `check_env` makes a `Check` of it. A statistical check
uses fixed keys, so its answer never changes, and allows five standard errors, plus what
an outcome may add that is so rare that no draw showed it.

Over 300 lines: the contract is read as one list, with what its checks measure below.
"""

import dataclasses
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs import registry, splits
from envs.base import (
    Family,
    Key,
    State,
    Task,
    TimeStep,
    gaps_of,
    rebuilt_state,
    require,
)
from envs.observation import Discrete

Gaps = np.ndarray | jax.Array  # [actions]

NUM_PLAYS = 16  # random episodes that most checks look at
NUM_TASKS = 4  # tasks of which mean rewards and returns are measured
NUM_REWARDS = 4000  # draws of a reward, for every task and action
NUM_STEPS = 2_000_000  # environment steps spent on measuring returns, each time
TOLERANCE = 1e-5  # of exact quantities in float32, relative to their size
STANDARD_ERRORS = 5.0


class Check(NamedTuple):
    """The answer to one question about a family."""

    name: str
    passed: bool
    message: str  # what holds, or the rule that is broken and the value that breaks it


def check_env(
    family: str | Family,
    *,
    brute_force: Callable[[Task, State], Gaps] | None = None,
    only: Collection[str] = (),
) -> list[Check]:
    """Tests a family against the contract; takes some seconds.

    Gaps are compared with the returns of long rollouts: if playing the action of least
    gap loses by each first action just what its gap says, in every state, then no
    policy is better (policy improvement) and the gaps are right. Rollouts start at the
    first step, halfway, and where a random episode has its largest gap.

    Args:
        family: a registered name, or a family.
        brute_force: the gaps of a task in a state by another route, for a family of
            few states: say, by enumeration. It is called in plain Python.
        only: names of the checks to make; all of them by default.

    Raises:
        ValueError: if no family, or no check, has that name.
    """
    if isinstance(family, str):
        family = registry.family(family)
    subject = _Subject(family=family, brute_force=brute_force)
    checks = {_name(check): check for check in CHECKS}
    unknown = sorted(set(only) - set(checks))
    require(not unknown, f"only must be among {', '.join(checks)}", unknown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [_run(checks[name], subject) for name in only or checks]


class _Play(NamedTuple):
    """One random episode, in time order; gaps are None where a task has none."""

    task: Any
    state: Any  # before the action
    obs: Any
    action: jax.Array
    timestep: TimeStep
    gaps: jax.Array | None
    gaps_from_obs: jax.Array | None  # of the state rebuilt from the observation


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Subject:
    """A family, and what several checks want to know of it."""

    family: Family
    brute_force: Callable[[Task, State], Gaps] | None

    @functools.cached_property
    def plays(self) -> _Play:
        """Random episodes [plays, time, ...] of as many tasks."""
        play = functools.partial(_random_play, self.family)
        return jax.jit(jax.vmap(play))(jnp.arange(NUM_PLAYS))

    def plain_play(self) -> _Play:
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


class _NotApplicableError(Exception):
    """Says why a rule does not apply to a family; the check counts as passed."""


def _run(check: Callable[[_Subject], str], subject: _Subject) -> Check:
    name = _name(check)
    try:
        return Check(name=name, passed=True, message=check(subject))
    except _NotApplicableError as reason:
        return Check(name=name, passed=True, message=f"does not apply: {reason}")
    except ValueError as error:
        return Check(name=name, passed=False, message=_one_line(error))
    except Exception as error:  # whatever a family does, the other checks go on
        message = f"it must run, got {type(error).__name__}: {_one_line(error)}"
        return Check(name=name, passed=False, message=message)


def _name(check: Callable[[_Subject], str]) -> str:
    return check.__name__.removeprefix("_check_").replace("_", " ")


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


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
) -> _Play:
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
    return _Play(task, *record)


# The checks, in the order they are reported.


def _check_name_and_source(subject: _Subject) -> str:
    family = subject.family
    base, _, changes = family.name.partition("[")  # "Name-v0[horizon=5]" is a change
    well_named = registry.NAME.fullmatch(base) and (not changes or changes[-1] == "]")
    require(bool(well_named), "a name must end in a version, like Name-v0", family.name)
    stated = bool(family.source.strip()) and family.source != Family.source
    require(stated, "source must say where the family is written", repr(family.source))
    try:
        hash(family)
    except TypeError as error:
        raise ValueError(f"a family must be hashable, got: {error}") from error
    return f"{family.name}, from: {family.source}"


def _check_bad_values(subject: _Subject) -> str:
    family = subject.family
    bad: list[tuple[str, Any]] = [("no_such_field", 0)]
    for field in dataclasses.fields(family):
        value = getattr(family, field.name)
        if field.name == "horizon" or field.name.startswith("num_"):
            bad.append((field.name, 0))
        if isinstance(value, float):
            bad.append((field.name, math.nan))
        if field.name.endswith("_std"):
            bad.append((field.name, -1.0))
        if "probability" in field.name:
            bad += [(field.name, -0.5), (field.name, 1.5)]
    for name, value in bad:
        try:
            family.replace(**{name: value})
        except ValueError:
            continue
        raise ValueError(f"replace must refuse bad values, got {name}={value} accepted")
    return "refuses " + ", ".join(f"{name}={value}" for name, value in bad)


def _check_keys(subject: _Subject) -> str:
    family = subject.family
    try:
        subject.plain_play()
    except jax.errors.KeyReuseError as error:
        raise ValueError(f"a key must be used once, got: {_one_line(error)}") from error
    tasks = len(set(splits.fingerprints(subject.plays.task)))
    require(tasks > 1, f"{NUM_PLAYS} keys must draw different tasks", tasks)

    def interact(key_task: Key, key_reset: Key, key_step: Key) -> Any:
        task = family.sample(key_task)
        state, _ = task.reset(key_reset)
        return gaps_of(task, state), task.step(key_step, state, jnp.asarray(0))

    with jax.checking_leaks():
        keys = (jax.random.key(seed) for seed in range(3))
        program = jax.make_jaxpr(interact)(*keys)
    own = "random_seed" in str(program) or any(map(_is_key, program.consts))
    require(not own, "the key given must draw everything", "a random key made inside")
    return "different keys draw different tasks; every key is used once"


def _check_pure(subject: _Subject) -> str:
    plain, again = subject.plain_play(), subject.plain_play()
    _require_same("a second call with the same key", plain, again, exact=True)
    num_steps = len(plain.action)
    whole = jax.tree.map(lambda leaf: leaf[0], subject.plays)
    start = jax.tree.map(lambda leaf: leaf[:num_steps], whole._replace(task=None))
    _require_same("jit, vmap or scan", plain, start._replace(task=whole.task))
    return "plain calls, jit, vmap and scan agree, and a second call with the first"


def _check_shapes_and_types(subject: _Subject) -> str:
    family = subject.family
    key_task, key_reset, key_step = jax.random.split(jax.random.key(5), 3)
    task = family.sample(key_task)
    for name in ("num_actions", "horizon"):
        ours, theirs = getattr(task, name), getattr(family, name)
        rule = f"a task's {name} must be its family's {theirs}"
        require(bool(ours == theirs), rule, ours)
    state, obs = task.reset(key_reset)
    next_state, timestep = task.step(key_step, state, jnp.asarray(0))
    for where, value in (("reset", obs), ("step", timestep.obs)):
        _require_observation(family, where, value)
    before, after = _types(state), _types(next_state)
    require(before == after, f"a state must stay {before} over a step", after)
    for name in ("reward", "terminated", "truncated"):
        value = getattr(timestep, name)
        require(jnp.shape(value) == (), f"{name} must be a scalar", jnp.shape(value))
    kinds = {"reward": jnp.floating, "terminated": jnp.bool_, "truncated": jnp.bool_}
    for name, kind in kinds.items():
        dtype = jnp.asarray(getattr(timestep, name)).dtype
        require(jnp.issubdtype(dtype, kind), f"{name} must be {kind.__name__}", dtype)
    gaps = gaps_of(task, state)
    if gaps is not None:
        shape = (family.num_actions,)
        require(jnp.shape(gaps) == shape, f"gaps must have shape {shape}", gaps.shape)
        real = jnp.issubdtype(gaps.dtype, jnp.floating)
        require(real, "gaps must be floating", gaps.dtype)
    return f"observation {obs.dtype}{list(obs.shape)}, {family.num_actions} actions"


def _check_observations(subject: _Subject) -> str:
    family, plays = subject.family, subject.plays
    low, high = family.observation.bounds
    values = np.concatenate([np.ravel(plays.obs), np.ravel(plays.timestep.obs)])
    rule = f"an observation must lie in [{low}, {high}]"
    outside = values[~((values >= low) & (values <= high))]
    require(not outside.size, rule, outside[:1])
    return f"within [{low}, {high}]"


def _check_horizon(subject: _Subject) -> str:
    horizon, timestep = subject.family.horizon, subject.plays.timestep
    early = np.flatnonzero(np.asarray(timestep.truncated)[:, :-1].any(0))
    rule = f"an episode must not be truncated before step {horizon}"
    require(not early.size, rule, f"truncated at step {early[:1] + 1}")
    over = bool(np.asarray(timestep.truncated)[:, -1].all())
    rule = f"an episode must be truncated at step {horizon}, terminated or not"
    require(over, rule, "one that is not")
    return f"every episode has {horizon} steps"


def _check_absorbing(subject: _Subject) -> str:
    timestep = jax.device_get(subject.plays.timestep)
    ended = np.cumsum(timestep.terminated, 1) > 0
    after = np.roll(ended, 1, axis=1)
    after[:, 0] = False  # the steps after the one that terminated
    rewards = timestep.reward[after]
    rule = "rewards after termination must be 0"
    require(not rewards.any(), rule, rewards[rewards != 0][:1])
    stays = timestep.terminated[after].all()
    rule = "a terminated episode must stay terminated"
    require(bool(stays), rule, "a later step that is not")
    if subject.gaps is not None:
        gaps = subject.gaps[after]
        require(not gaps.any(), "gaps after termination must be 0", gaps[gaps != 0][:1])
    return f"{int(ended[:, -1].sum())} of {NUM_PLAYS} random episodes terminated"


def _check_gaps(subject: _Subject) -> str:
    given = subject.gaps is not None
    rule = (
        f"has_gaps must be {given}, as tasks {'give' if given else 'do not give'} any"
    )
    require(subject.family.has_gaps == given, rule, subject.family.has_gaps)
    gaps = _require_gaps(subject)
    finite = np.isfinite(gaps)
    require(bool(finite.all()), "gaps must be finite", gaps[~finite][:1])
    require(bool((gaps >= 0).all()), "gaps must not be negative", gaps.min())
    least = gaps.min(-1).max()
    require(bool(least <= TOLERANCE), "the least gap of a state must be 0", least)
    rebuilt = subject.plays.gaps_from_obs
    if rebuilt is None:
        return "finite, none negative, one zero; observations do not give the state"
    error = abs(gaps - np.asarray(rebuilt)).max()
    scale = 1 + gaps.max()
    rule = "gaps of state_from_obs must be those of the state, to 1e-5"
    require(bool(error <= TOLERANCE * scale), rule, f"a difference of {error}")
    return "finite, none negative, one zero; state_from_obs gives the same"


def _check_optimal_policy(subject: _Subject) -> str:
    _require_gaps(subject)
    regret = _measure(subject, _at(0), _num_draws(subject.family)).regret
    bound = TOLERANCE * subject.family.horizon
    require(regret <= bound, "the regret of the action of least gap must be 0", regret)
    return "the action of least gap has no regret"


def _check_mean_rewards(subject: _Subject) -> str:
    _require_gaps(subject)
    last = subject.family.horizon - 1  # nothing follows, so gaps are of rewards alone
    measured = _measure(subject, _at(last), NUM_REWARDS, num_steps=1)
    return _require_means("a mean reward of the last step", measured)


def _check_brute_force(subject: _Subject) -> str:
    largest = _require_gaps(subject)[:NUM_TASKS].max(-1).argmax(-1)
    family, message = subject.family, ""
    starts = {f"step {time}": _at(time) for time in (0, family.horizon // 2)}
    for where, times in {**starts, "the step of the largest gap": largest}.items():
        measured = _measure(subject, times, _num_draws(family))
        message = _require_means(f"a mean return from {where}", measured)
    if subject.brute_force is not None:
        _require_brute_force(subject, subject.brute_force)
    return message


def _check_split(subject: _Subject) -> str:
    family = subject.family
    split = family.split()

    def draw(key: Key) -> tuple[Task, Task]:
        return split.train.sample(key), split.test.sample(jax.random.clone(key))

    drawn = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(7), 256))
    halves = [set(splits.fingerprints(tasks)) for tasks in drawn]
    both = len(halves[0] & halves[1])
    require(
        both == 0,
        "no task may stand in both halves of the split: a family of finitely many "
        "tasks needs a `split` of its own (envs.splits.split_tasks of a list of them; "
        "a tabular family may be an envs.codes.CodedFamily)",
        both,
    )
    again = family.split().hash
    require(split.hash == again, f"the hash {split.hash} must be stable", again)
    other = family.replace(horizon=family.horizon + 1).split().hash
    require(split.hash != other, "another horizon must change the hash", other)
    return f"hash {split.hash}"


def _check_gymnasium(subject: _Subject) -> str:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.utils import env_checker

    family = subject.family.replace(horizon=max(2, subject.family.horizon))
    spec = EnvSpec(  # two steps, as Gymnasium refuses to check an episode of one
        id=f"icrl/{family.name.partition('[')[0]}",
        entry_point="envs.gymnasium_adapter:Env",
        kwargs={"family": family},
    )
    unbounded = r".*A Box observation space (min|max)imum value is -?infinit"
    try:
        warnings.filterwarnings("ignore", message=unbounded)  # as the family says
        env_checker.check_env(gymnasium.make(spec).unwrapped)
    except (AssertionError, UserWarning) as error:
        rule = "Gymnasium's check_env must pass"
        raise ValueError(f"{rule}, got: {_one_line(error)}") from error
    return "Gymnasium's check_env passes"


CHECKS = (
    _check_name_and_source,
    _check_bad_values,
    _check_keys,
    _check_pure,
    _check_shapes_and_types,
    _check_observations,
    _check_horizon,
    _check_absorbing,
    _check_gaps,
    _check_optimal_policy,
    _check_mean_rewards,
    _check_brute_force,
    _check_split,
    _check_gymnasium,
)


# What the checks measure with.


class _Measured(NamedTuple):
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


def _num_draws(family: Family) -> int:
    num_steps = NUM_TASKS * family.num_actions * family.horizon
    return min(max(NUM_STEPS // num_steps, 32), NUM_REWARDS)


def _at(time: int) -> np.ndarray:
    """The same step of every task."""
    return np.full(NUM_TASKS, time)


def _measure(
    subject: _Subject, times: np.ndarray, num_draws: int, num_steps: int | None = None
) -> _Measured:
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
    all_gaps = _require_gaps(subject)
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
    return _Measured(
        gap=gap - gap.min(-1, keepdims=True),
        loss=loss.mean(-1),
        standard_error=error,
        allowed=STANDARD_ERRORS * error + rare + rounding,
        regret=float(np.where(played, gaps, 0)[..., 1:].sum(-1).max()),
    )


def _require_means(what: str, measured: _Measured) -> str:
    """How close the means are to the gaps; raises `ValueError` where they differ."""
    ratio = abs(measured.loss - measured.gap) / measured.allowed
    task, action = np.unravel_index(ratio.argmax(), ratio.shape)
    gap, loss, error = (table[task, action] for table in measured[:3])
    require(
        bool(ratio.max() <= 1),
        f"{what} must fall short of the best by its gap, {gap:.5f} for action {action}",
        f"{loss:.5f} ± {error:.5f}",
    )
    return f"{what} falls short of the best by its gap, {loss:.4f} for {gap:.4f}"


def _require_gaps(subject: _Subject) -> np.ndarray:
    if subject.gaps is None:
        raise _NotApplicableError("the family has no gaps and is scored by return")
    return subject.gaps


def _require_brute_force(
    subject: _Subject, brute_force: Callable[[Task, State], Gaps]
) -> None:
    gaps = _require_gaps(subject)
    times = sorted({0, subject.family.horizon // 2, subject.family.horizon - 1})
    for n, time in itertools.product(range(NUM_TASKS), times):
        task = jax.tree.map(lambda leaf, n=n: leaf[n], subject.plays.task)
        state = jax.tree.map(
            lambda leaf, n=n, time=time: leaf[n, time], subject.plays.state
        )
        exact = np.asarray(brute_force(task, state))
        close = abs(gaps[n, time] - exact).max() <= TOLERANCE * (1 + abs(exact).max())
        require(bool(close), f"gaps must be {exact} by brute force", gaps[n, time])


def _require_observation(family: Family, where: str, obs: Any) -> None:
    shape = jnp.shape(obs)
    space = family.observation
    rule = f"an observation must have shape {space.shape} after {where}"
    require(shape == space.shape, rule, shape)
    discrete = isinstance(space, Discrete)
    kind = "an integer" if discrete else "floating"
    right = jnp.issubdtype(obs.dtype, jnp.integer) == discrete
    require(right, f"an observation must be {kind} after {where}", obs.dtype)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)


def _numbers(tree: Any) -> list[np.ndarray]:
    leaves = jax.tree.leaves(tree)
    return [
        np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        for leaf in leaves
    ]


def _types(tree: Any) -> str:
    return str([f"{leaf.dtype}{list(leaf.shape)}" for leaf in _numbers(tree)])


def _require_same(what: str, one: Any, other: Any, *, exact: bool = False) -> None:
    """Raises `ValueError` unless two results agree, up to rounding or exactly."""
    for a, b in zip(_numbers(one), _numbers(other), strict=True):
        tolerance = 0 if exact else TOLERANCE
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise ValueError(f"{what} must change nothing, got {b} for {a}")
