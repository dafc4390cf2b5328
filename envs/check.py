"""The contract test: does a family keep what `envs/base.py` promises?

    for check in check_env("GaussianBandit-DPT-v0"):
        print(check)

Each check is a function of a `Subject` that raises an error naming the rule and the
value where the rule is broken; `check_env` makes a `Check` of it. A statistical check
uses fixed keys, so its answer never changes, and allows five standard errors, plus what
an outcome may add that is so rare that no draw showed it.

Over 300 lines: the contract is read as one list; `envs.subject` has what is measured.
"""

import dataclasses
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
    gaps_of,
    require,
)
from envs.observation import Discrete
from envs.subject import (
    NUM_PLAYS,
    NUM_REWARDS,
    NUM_TASKS,
    TOLERANCE,
    Gaps,
    Measured,
    NotApplicableError,
    Subject,
    at,
    measure,
    num_draws_of,
    require_gaps,
)


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
    subject = Subject(family=family, brute_force=brute_force)
    checks = {_name(check): check for check in CHECKS}
    unknown = sorted(set(only) - set(checks))
    require(not unknown, f"only must be among {', '.join(checks)}", unknown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [_run(checks[name], subject) for name in only or checks]


def _run(check: Callable[[Subject], str], subject: Subject) -> Check:
    name = _name(check)
    try:
        return Check(name=name, passed=True, message=check(subject))
    except NotApplicableError as reason:
        return Check(name=name, passed=True, message=f"does not apply: {reason}")
    except ValueError as error:
        return Check(name=name, passed=False, message=_one_line(error))
    except Exception as error:  # whatever a family does, the other checks go on
        message = f"it must run, got {type(error).__name__}: {_one_line(error)}"
        return Check(name=name, passed=False, message=message)


def _name(check: Callable[[Subject], str]) -> str:
    return check.__name__.removeprefix("_check_").replace("_", " ")


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


# The checks, in the order they are reported.


def _check_name_and_source(subject: Subject) -> str:
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


def _check_bad_values(subject: Subject) -> str:
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


def _check_keys(subject: Subject) -> str:
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


def _check_pure(subject: Subject) -> str:
    plain, again = subject.plain_play(), subject.plain_play()
    _require_same("a second call with the same key", plain, again, exact=True)
    num_steps = len(plain.action)
    whole = jax.tree.map(lambda leaf: leaf[0], subject.plays)
    start = jax.tree.map(lambda leaf: leaf[:num_steps], whole._replace(task=None))
    _require_same("jit, vmap or scan", plain, start._replace(task=whole.task))
    return "plain calls, jit, vmap and scan agree, and a second call with the first"


def _check_shapes_and_types(subject: Subject) -> str:
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


def _check_observations(subject: Subject) -> str:
    family, plays = subject.family, subject.plays
    low, high = family.observation.bounds
    values = np.concatenate([np.ravel(plays.obs), np.ravel(plays.timestep.obs)])
    rule = f"an observation must lie in [{low}, {high}]"
    outside = values[~((values >= low) & (values <= high))]
    require(not outside.size, rule, outside[:1])
    return f"within [{low}, {high}]"


def _check_horizon(subject: Subject) -> str:
    horizon, timestep = subject.family.horizon, subject.plays.timestep
    early = np.flatnonzero(np.asarray(timestep.truncated)[:, :-1].any(0))
    rule = f"an episode must not be truncated before step {horizon}"
    require(not early.size, rule, f"truncated at step {early[:1] + 1}")
    over = bool(np.asarray(timestep.truncated)[:, -1].all())
    rule = f"an episode must be truncated at step {horizon}, terminated or not"
    require(over, rule, "one that is not")
    return f"every episode has {horizon} steps"


def _check_absorbing(subject: Subject) -> str:
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


def _check_gaps(subject: Subject) -> str:
    given = subject.gaps is not None
    rule = (
        f"has_gaps must be {given}, as tasks {'give' if given else 'do not give'} any"
    )
    require(subject.family.has_gaps == given, rule, subject.family.has_gaps)
    gaps = require_gaps(subject)
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


def _check_optimal_policy(subject: Subject) -> str:
    require_gaps(subject)
    regret = measure(subject, at(0), num_draws_of(subject.family)).regret
    bound = TOLERANCE * subject.family.horizon
    require(regret <= bound, "the regret of the action of least gap must be 0", regret)
    return "the action of least gap has no regret"


def _check_mean_rewards(subject: Subject) -> str:
    require_gaps(subject)
    last = subject.family.horizon - 1  # nothing follows, so gaps are of rewards alone
    measured = measure(subject, at(last), NUM_REWARDS, num_steps=1)
    return _require_means("a mean reward of the last step", measured)


def _check_brute_force(subject: Subject) -> str:
    largest = require_gaps(subject)[:NUM_TASKS].max(-1).argmax(-1)
    family, message = subject.family, ""
    starts = {f"step {time}": at(time) for time in (0, family.horizon // 2)}
    for where, times in {**starts, "the step of the largest gap": largest}.items():
        measured = measure(subject, times, num_draws_of(family))
        message = _require_means(f"a mean return from {where}", measured)
    if subject.brute_force is not None:
        _require_brute_force(subject, subject.brute_force)
    return message


def _check_split(subject: Subject) -> str:
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


def _check_gymnasium(subject: Subject) -> str:
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


def _require_means(what: str, measured: Measured) -> str:
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


def _require_brute_force(
    subject: Subject, brute_force: Callable[[Task, State], Gaps]
) -> None:
    gaps = require_gaps(subject)
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
