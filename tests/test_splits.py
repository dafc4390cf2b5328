"""Splits: no task in both halves, a hash that names them, uniform sampling."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from recall import RecallFamily

import envs
from envs import check, splits
from envs.base import Family
from envs.gaussian_bandit import GaussianBanditFamily
from envs.template import FAMILY as CORRIDOR

BANDIT = GaussianBanditFamily(num_arms=2, horizon=3)


def bandits(*means):
    return splits.stack_tasks([BANDIT.task(row) for row in means])


def test_a_task_in_both_halves_is_named():
    train = bandits([0.1, 0.2], [0.3, 0.4], [0.5, 0.6])
    test = bandits([0.7, 0.8], [0.3, 0.4])
    with pytest.raises(ValueError, match="1 stand in both: train task 1 is test"):
        splits.split_tasks(BANDIT, train, test)


def test_a_family_of_few_tasks_is_told_how_to_split_them():
    class Unsplit(RecallFamily):
        split = Family.split

    unsplit = Unsplit(name="Unsplit-v0", source="this file", horizon=3)
    (answer,) = check.check_env(unsplit, only=("split",))
    assert not answer.passed
    for word in ("needs a `split` of its own", "split_tasks", "CodedFamily"):
        assert word in answer.message


def test_the_halves_of_a_prior_share_no_task():
    split = BANDIT.split()
    keys = jax.random.split(jax.random.key(0), 100)
    halves = [
        set(splits.fingerprints(jax.vmap(half.sample)(jax.random.clone(keys))))
        for half in (split.train, split.test)
    ]
    assert not halves[0] & halves[1]


def test_a_finite_half_is_sampled_uniformly():
    half = splits.FiniteTasks(bandits([0.1, 0], [0.2, 0], [0.3, 0], [0.4, 0]))
    assert len(half) == 4
    keys = jax.random.split(jax.random.key(0), 4000)
    first = jax.jit(jax.vmap(half.sample))(keys).means[:, 0]
    for mean in (0.1, 0.2, 0.3, 0.4):
        count = int(jnp.isclose(first, mean).sum())
        assert abs(count - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5


def test_a_family_of_few_tasks_says_which_half_has_which():
    split = CORRIDOR.split()
    assert split.train.tasks.goal.tolist() == [0, 2, 4, 6, 8]
    assert split.test.tasks.goal.tolist() == [1, 3, 5, 7]


def test_the_hash_names_the_family_and_both_halves():
    one, two, three = bandits([0.1, 0]), bandits([0.2, 0]), bandits([0.3, 0])
    hashes = [
        splits.split_tasks(BANDIT, one, two).hash,
        splits.split_tasks(BANDIT, two, one).hash,
        splits.split_tasks(BANDIT, one, three).hash,
        splits.split_tasks(BANDIT.replace(horizon=4), one, two).hash,
        BANDIT.split().hash,
        *(envs.family(name).split().hash for name in envs.names()),
    ]
    assert len(set(hashes)) == len(hashes)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in hashes)
    assert hashes[0] == splits.split_tasks(BANDIT, one, two).hash


def test_the_hash_is_the_same_in_another_process():
    program = (
        "import envs; from envs.template import FAMILY; "
        "print(envs.family('LinearBandit-DPT-v0').split().hash, FAMILY.split().hash)"
    )
    there = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    here = [envs.family("LinearBandit-DPT-v0").split().hash, CORRIDOR.split().hash]
    assert there.stdout.split() == here
