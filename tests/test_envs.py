"""The contract over every family, and the contract test against faulty ones.

Over 300 lines: each rule of the contract has a family that breaks it.
"""

import dataclasses
import functools
import gc
import itertools
import json
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import check, subject
from envs.base import TimeStep
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.dark_room import DarkRoom
from envs.frozen_lake import FrozenLake
from envs.gaussian_bandit import GaussianBandit, GaussianBanditFamily
from envs.linear_bandit import LinearBanditFamily
from envs.template import Corridor, CorridorFamily, CorridorState


@pytest.fixture
def fast_returns(monkeypatch, optimised_jit):
    """Returns are measured by programs that run fast; the others compile fast."""
    play_on = subject.Subject.play_on.func

    def optimised_play_on(subject):
        with monkeypatch.context() as inside:
            inside.setattr(jax, "jit", optimised_jit)
            return play_on(subject)

    changed = functools.cached_property(optimised_play_on)
    changed.__set_name__(subject.Subject, "play_on")
    monkeypatch.setattr(subject.Subject, "play_on", changed)


@pytest.mark.usefixtures("fast_returns")
@pytest.mark.parametrize("name", envs.names())
def test_every_family_holds_to_the_contract(name):
    failed = [answer for answer in check.check_env(name) if not answer.passed]
    assert failed == []


# Faulty families: a Gaussian bandit or a corridor with some methods replaced.


def faulty(family: Any, task_class: type, **methods: Any) -> Any:
    """`family`, but its tasks have these methods instead of their own."""
    methods["__annotations__"] = {}
    task_class = type(f"Faulty{task_class.__name__}", (task_class,), methods)
    task_class = jax.tree_util.register_dataclass(
        dataclasses.dataclass(frozen=True, kw_only=True)(task_class)
    )

    class FaultyFamily(type(family)):
        def sample(self, key):
            task = super().sample(key)
            fields = dataclasses.fields(task)
            return task_class(**{f.name: getattr(task, f.name) for f in fields})

    return FaultyFamily(
        **{f.name: getattr(family, f.name) for f in dataclasses.fields(family)}
    )


BANDIT = GaussianBanditFamily(name="Bandit-v0", source="this file", horizon=4)
CORRIDOR = CorridorFamily(name="Corridor-v0", source="this file", horizon=6)


def faulty_bandit(**methods: Any) -> Any:
    return faulty(BANDIT, GaussianBandit, **methods)


def message(family: Any, name: str) -> str:
    (answer,) = check.check_env(family, only=[name])
    assert not answer.passed
    assert "\n" not in answer.message
    return answer.message


def step_and(change):
    """A bandit's step whose state and record `change` alters."""

    def step(self, key, state, action):
        next_state, timestep = GaussianBandit.step(self, key, state, action)
        return change(self, state, next_state, timestep, action)

    return step


def test_gaps_off_by_a_constant_are_found():
    family = faulty_bandit(gaps=lambda self, s: GaussianBandit.gaps(self, s) + 0.25)
    assert message(family, "gaps") == "the least gap of a state must be 0, got 0.25"


def test_gaps_of_a_wrong_scale_are_found():
    family = faulty_bandit(gaps=lambda self, s: GaussianBandit.gaps(self, s) * 1.01)
    assert "must fall short of the best by its gap" in message(family, "mean rewards")


def test_negative_and_infinite_gaps_are_found():
    family = faulty_bandit(gaps=lambda self, s: self.means[0] - self.means)
    assert message(family, "gaps").startswith("gaps must not be negative, got -")
    family = faulty_bandit(gaps=lambda self, s: jnp.log(0 * self.means))
    assert message(family, "gaps") == "gaps must be finite, got [-inf]"


def test_noise_in_gaps_is_found():
    random = np.random.default_rng(0)

    def gaps(self, state):
        return GaussianBandit.gaps(self, state) + random.uniform()

    assert "a second call with the same key" in message(
        faulty_bandit(gaps=gaps), "pure"
    )

    def gaps(self, state):
        noise = abs(jax.random.normal(jax.random.key(0), self.means.shape))
        return GaussianBandit.gaps(self, state) + noise

    assert "a random key made inside" in message(faulty_bandit(gaps=gaps), "keys")


def test_gaps_blind_to_the_future_are_found():
    def gaps(self, state):
        position = self._move(state.position, jnp.arange(self.num_actions))
        pays = (position == self.goal).astype(jnp.float32)
        return pays.max() - pays

    family = faulty(CORRIDOR, Corridor, gaps=gaps)
    assert "a mean return from step 0 must fall short" in message(family, "brute force")


LAKE = envs.family("FrozenLake-4x4-v0", horizon=100)


def test_right_gaps_pass_where_outcomes_are_rare():
    # A wrong first action loses one game in a thousand, so few draws show it.
    answers = check.check_env(LAKE, only=["optimal policy", "brute force"])
    assert [answer for answer in answers if not answer.passed] == []


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_wrong_gaps_are_found_where_outcomes_are_rare(factor):
    family = faulty(
        LAKE, FrozenLake, gaps=lambda self, s: factor * FrozenLake.gaps(self, s)
    )
    rule = "a mean return from the step of the largest gap must fall short"
    assert rule in message(family, "brute force")


def test_small_errors_are_found_where_nothing_is_random():
    room = envs.family("DarkRoom-DPT-v0")
    family = faulty(room, DarkRoom, gaps=lambda self, s: 1.005 * DarkRoom.gaps(self, s))
    assert "must fall short of the best by its gap" in message(family, "brute force")


def test_a_reward_that_its_mean_denies_is_found():
    def change(self, state, next_state, timestep, action):
        more = 0.05 * (action == 2)
        return next_state, timestep._replace(reward=timestep.reward + more)

    text = message(faulty_bandit(step=step_and(change)), "mean rewards")
    assert "a mean reward of the last step must fall short" in text


def test_state_in_a_global_is_found():
    calls = itertools.count()

    def change(self, state, next_state, timestep, action):
        return next_state, timestep._replace(reward=timestep.reward + next(calls))

    text = message(faulty_bandit(step=step_and(change)), "pure")
    assert text.startswith("a second call with the same key must change nothing")


def test_a_leaked_value_is_found():
    leaked = []

    def change(self, state, next_state, timestep, action):
        leaked.append(timestep.reward)
        return next_state, timestep

    family = faulty_bandit(step=step_and(change))
    gc.freeze()  # JAX looks through all objects for the leak: let these be few
    try:
        text = message(family, "keys")
    finally:
        gc.unfreeze()
    assert "Leaked" in text


def test_a_wrong_observation_is_found():
    def wrong(obs):
        def change(self, state, next_state, timestep, action):
            return next_state, timestep._replace(obs=obs)

        return faulty_bandit(step=step_and(change))

    text = message(wrong(jnp.zeros(2, jnp.int32)), "shapes and types")
    assert text == "an observation must have shape () after step, got (2,)"
    text = message(wrong(jnp.zeros(())), "shapes and types")
    assert text == "an observation must be an integer after step, got float32"
    text = message(wrong(jnp.asarray(7, jnp.int32)), "observations")
    assert text == "an observation must lie in [0, 0], got [7]"
    assert "Gymnasium" in message(wrong(jnp.asarray(7, jnp.int32)), "gymnasium")


def test_ignored_and_reused_keys_are_found():
    class OneTask(GaussianBanditFamily):
        def sample(self, key):
            return super().task([0.1, 0.2, 0.3, 0.4, 0.5])

    fields = dataclasses.asdict(BANDIT)
    text = message(OneTask(**fields), "keys")
    assert text == "16 keys must draw different tasks, got 1"

    def own_key(self, key, state, action):
        return GaussianBandit.step(self, jax.random.key(0), state, action)

    assert "a random key made inside" in message(faulty_bandit(step=own_key), "keys")

    def twice(self, key, state, action):
        GaussianBandit.step(self, key, state, action)
        return GaussianBandit.step(self, key, state, action)

    assert "a key must be used once" in message(faulty_bandit(step=twice), "keys")


def test_an_episode_without_its_horizon_is_found():
    def truncated(when):
        def change(self, state, next_state, timestep, action):
            return next_state, timestep._replace(truncated=next_state >= when)

        return faulty_bandit(step=step_and(change))

    text = message(truncated(99), "horizon")
    assert text.startswith("an episode must be truncated at step 4, terminated or not")
    text = message(truncated(2), "horizon")
    assert text.startswith("an episode must not be truncated before step 4")


def test_rewards_after_termination_are_found():
    def change(self, state, next_state, timestep, action):
        return next_state, timestep._replace(terminated=next_state >= 2)

    text = message(faulty_bandit(step=step_and(change)), "absorbing")
    assert text.startswith("rewards after termination must be 0, got [")


def test_a_task_in_both_halves_is_found():
    class NoSplit(CorridorFamily):
        split = envs.Family.split

    text = message(NoSplit(**dataclasses.asdict(CORRIDOR)), "split")
    assert text.startswith("no task may stand in both halves of the split: a family ")
    assert "split_tasks" in text and "CodedFamily" in text and "got " in text


def test_values_that_go_unchecked_are_found():
    class Unchecked(GaussianBanditFamily):
        def __post_init__(self):
            pass

    text = message(Unchecked(**dataclasses.asdict(BANDIT)), "bad values")
    assert text == "replace must refuse bad values, got horizon=0 accepted"


def test_a_family_without_a_source_is_found():
    text = message(GaussianBanditFamily(name="X-v0", horizon=3), "name and source")
    assert text == "source must say where the family is written, got 'not published'"
    text = message(BANDIT.replace(name="Bandit"), "name and source")
    assert text == "a name must end in a version, like Name-v0, got Bandit"


def test_a_method_that_raises_fails_its_checks_and_no_more():
    def gaps(self, state):
        raise TypeError("cannot add apples\nand pears")

    answers = check.check_env(
        faulty_bandit(gaps=gaps), only=["name and source", "bad values", "gaps"]
    )
    assert [answer.passed for answer in answers] == [True, True, False]
    assert answers[2].message == "it must run, got TypeError: cannot add apples"


def test_a_task_that_cannot_tell_its_gaps_passes_what_applies():
    def gaps(self, state):
        raise NotImplementedError

    family = faulty_bandit(gaps=gaps)
    rule = "has_gaps must be False, as tasks do not give any, got True"
    assert message(family, "gaps") == rule
    kind = type("Without", (type(family),), {"has_gaps": False})
    family = kind(
        **{f.name: getattr(family, f.name) for f in dataclasses.fields(family)}
    )
    answers = check.check_env(family)
    assert all(answer.passed for answer in answers)
    unknown = "does not apply: the family has no gaps and is scored by return"
    assert [a.name for a in answers if a.message == unknown] == [
        "gaps",
        "optimal policy",
        "mean rewards",
        "brute force",
    ]


def test_an_early_end_that_absorbs_holds_to_the_contract():
    def step(self, key, state, action):
        at_goal = state.position == self.goal
        move = Corridor._move(self, state.position, action)
        position = jnp.where(at_goal, state.position, move)
        arrived = position == self.goal
        state = CorridorState(step=state.step + 1, position=position)
        return state, TimeStep(
            obs=position,
            reward=jnp.where(at_goal, 0.0, 1.0 * arrived),
            terminated=arrived,
            truncated=state.step >= self.horizon,
        )

    def gaps(self, state):  # 1 where the goal is out of reach after a wasted move
        position = self._move(state.position, jnp.arange(self.num_actions))
        in_time = abs(position - self.goal) <= self.horizon - state.step - 1
        q_values = jnp.where(state.position == self.goal, 0.0, 1.0 * in_time)
        return q_values.max() - q_values

    family = faulty(CORRIDOR, Corridor, step=step, gaps=gaps)
    answers = {a.name: a for a in check.check_env(family)}
    assert [a for a in answers.values() if not a.passed] == []
    assert not answers["absorbing"].message.startswith("0 of")


def test_an_unknown_check_or_family_is_refused():
    with pytest.raises(ValueError, match="only must be among name and source, bad"):
        check.check_env(BANDIT, only=["speed"])
    with pytest.raises(ValueError, match="did you mean GaussianBandit-DPT-v0"):
        check.check_env("GaussianBandit-DPT")


# Known answers of the families themselves.

NEGATIVE_STD = "noise_std must not be negative, got -1"
BAD_VALUES = [
    (
        "GaussianBandit-DPT-v0",
        {"noise_std": -1},
        "noise_std must not be negative, got -1",
    ),
    ("GaussianBandit-DPT-v0", {"horizon": 0}, "horizon must be at least 1, got 0"),
    ("GaussianBandit-DPT-v0", {"low": 2.0}, "low must be below high, got (2.0, 1.0)"),
    ("BernoulliBandit-DPT-v0", {"alpha": 0}, "alpha must be positive, got 0"),
    ("BernoulliBandit-DPT-v0", {"num_arms": 0}, "num_arms must be at least 1, got 0"),
    ("LinearBandit-DPT-v0", {"dim": 0}, "dim must be at least 1, got 0"),
    (
        "LinearBandit-DPT-v0",
        {"arms": "x"},
        "arms must be one of fixed, per_task, ",
    ),
    ("LinearBandit-DPT-v0", {"sigma": 1}, "LinearBanditFamily has no field 'sigma'"),
]


def test_a_bad_value_is_refused_by_its_rule():
    # In another process, without the type checks of these tests: as users meet it.
    program = """
import envs, json, sys
for name, change in json.loads(sys.argv[1]):
    try:
        envs.family(name, **change)
    except ValueError as error:
        print(error)
"""
    bad = json.dumps([value[:2] for value in BAD_VALUES])
    done = subprocess.run(
        [sys.executable, "-c", program, bad], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(BAD_VALUES)
    for line, (_, _, rule) in zip(lines, BAD_VALUES, strict=True):
        assert line.startswith(rule)


def test_a_mean_that_is_no_probability_is_refused():
    family = BernoulliBanditFamily(num_arms=3, horizon=5)
    for bad in ([0.5, 1.5, 0.1], [0.5, -0.5, 0.1], [0.5, float("nan"), 0.1]):
        with pytest.raises(
            ValueError, match=r"a probability must lie in \[0, 1\], got"
        ):
            family.task(bad)
    with pytest.raises(ValueError, match=r"means must have shape \(3,\), got \(2,\)"):
        family.task([0.5, 0.5])


def test_gaussian_rewards_have_the_stated_mean_and_deviation():
    task = GaussianBanditFamily(horizon=1, num_arms=2, noise_std=0.3).task([0.2, 0.9])
    keys = jax.random.split(jax.random.key(0), 20_000)
    state, _ = task.reset(jax.random.key(1))
    _, timestep = jax.vmap(task.step, (0, None, None))(keys, state, jnp.asarray(1))
    assert abs(timestep.reward.mean() - 0.9) < 5 * 0.3 / 20_000**0.5
    assert abs(timestep.reward.std() - 0.3) < 5 * 0.3 / 40_000**0.5


def test_fixed_arms_are_those_of_the_dpt_code():
    family = envs.family("LinearBandit-DPT-v0")
    random = np.random.RandomState(1234)
    arms = random.normal(size=(10, 2)) / np.sqrt(2)
    np.testing.assert_allclose(family.fixed_features, arms, rtol=1e-6)
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 3))
    np.testing.assert_allclose(tasks.features[2], arms, rtol=1e-6)


def test_arms_of_a_step_are_drawn_anew_and_those_of_a_task_are_not():
    for arms, fresh in (("per_step", True), ("per_task", False)):
        family = LinearBanditFamily(horizon=3, arms=arms)
        task = family.sample(jax.random.key(0))
        state, obs = task.reset(jax.random.key(1))
        _, timestep = task.step(jax.random.key(2), state, jnp.asarray(0))
        assert bool((timestep.obs != obs).all()) is fresh


def test_a_batch_of_tasks_is_the_same_class_with_a_leading_axis():
    for name in envs.names():
        family = envs.family(name)
        batch = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 3))
        assert isinstance(batch, type(family.sample(jax.random.key(0))))
        assert {leaf.shape[0] for leaf in jax.tree.leaves(batch)} == {3}
