"""Training: it learns, resumes exactly, and stops where it must.

Over 300 lines: the runs of all these tests are made by one function.
"""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import jaxtyping
import numpy as np
import pytest

from icrl import algorithms, runs
from icrl.agents import Recipe
from icrl.config import (
    DecisionPretrainingConfig,
    ExperimentConfig,
    TrainingConfig,
    TransformerConfig,
)
from icrl.errors import RunError
from icrl.experiment import Experiment
from icrl.online_config import PpoConfig
from icrl.pretraining import methods
from icrl.runs import serialization
from icrl.runs.metrics import read_metrics
from icrl.training import train_models
from icrl.training.imitation import plan
from icrl.training.online import train_online

TRAINING = TrainingConfig(
    num_steps=40, batch_size=8, steps_per_call=10, checkpoint_every=20
)
RECIPE = Recipe(
    family="GaussianBandit-DPT-v0",
    changes={"horizon": 8},
    model=TransformerConfig(width=16, num_layers=1, num_heads=2),
)


def choices(recipe=RECIPE, context=None):
    """What the optimal action says of uniform play, or of another context."""
    family = recipe.make_family()
    return methods.decision_pretraining(
        recipe,
        context or (lambda task: algorithms.uniform(family)),
        DecisionPretrainingConfig(),
        behaviour="uniform",
    )


def fit(folder, seeds=(0,), training=TRAINING, look=None, chosen=None, **changes):
    """Trains models of a throw-away experiment to play as the optimal action says."""
    return train_throwaway(folder, choices(**changes), training, seeds, look, chosen)


def throwaway(folder, seeds):
    """Opens a run of a throw-away experiment."""
    config = ExperimentConfig(seeds=seeds)
    experiment = Experiment(
        name="throwaway",
        question="Does it train?",
        presets={"cpu": config},
        costs={"cpu": "seconds"},
        run=lambda run, config: None,
    )
    return runs.open_run(experiment, "cpu", config, root=folder)


def train_throwaway(folder, pretraining, training, seeds=(0,), look=None, chosen=None):
    """Opens a run of a throw-away experiment and trains its models."""
    with throwaway(folder, seeds) as run:
        trained = train_models(run, pretraining, training, look=look, seeds=chosen)
        return trained, run


def same(one, two):
    return all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    )


def test_training_lowers_the_loss_below_chance(tmp_path):
    training = dataclasses.replace(
        TRAINING, num_steps=400, learning_rate=1e-2, batch_size=32, checkpoint_every=400
    )
    _, run = fit(tmp_path, training=training)
    lines = read_metrics(run.folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(10, 401, 10))
    assert lines[-1]["loss"][0] < 1.5 < lines[0]["loss"][0]  # chance is log 5 = 1.609


def test_seeds_train_side_by_side_and_differ(tmp_path):
    trained, _ = fit(tmp_path, seeds=(3, 5))
    assert trained.seeds == (3, 5)
    assert trained.train_tokens == 2 * 40 * 8 * 9
    leaf = jax.tree.leaves(trained.models)[0]
    assert leaf.shape[0] == 2 and not np.allclose(leaf[0], leaf[1])


def test_only_the_seeds_that_are_asked_for_train(tmp_path):
    some, run = fit(tmp_path / "some", seeds=(3, 5, 7), chosen=(3, 7))
    assert some.seeds == (3, 7)
    assert not run.weights(5).exists()
    both, _ = fit(tmp_path / "both", seeds=(3, 7))
    assert same(some.models, both.models)


def test_seeds_added_later_leave_the_first_ones_as_they_were(tmp_path):
    first, _ = fit(tmp_path, seeds=(0,))
    both, _ = fit(tmp_path, seeds=(0, 1))
    assert both.seeds == (0, 1)
    assert same(jax.tree.map(lambda leaf: leaf[:1], both.models), first.models)


def test_an_accumulated_gradient_trains_the_same_model(tmp_path):
    """In what it predicts: Adam turns the rounding of a gradient that is zero, as that
    of the keys' biases is, into weights that differ."""
    _, whole = fit(tmp_path / "whole")
    _, parts = fit(
        tmp_path / "parts", training=dataclasses.replace(TRAINING, micro_batch=2)
    )
    one, two = (read_metrics(run.folder / "metrics.jsonl") for run in (whole, parts))
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose(
            [line[name] for line in one], [line[name] for line in two], rtol=1e-3
        )


STAGES = dataclasses.replace(TRAINING, lengths=(2, 4), micro_batch=2)


def test_shorter_contexts_first_and_as_many_tokens_of_each(tmp_path):
    made = choices()
    stages, _ = plan(made, dataclasses.replace(STAGES, num_steps=400))
    assert [stage.num_tokens for stage in stages] == [3, 5, 9]
    assert [stage.num_steps for stage in stages] == [210, 120, 70]  # 206, 124, 69
    trained, _ = fit(tmp_path, training=STAGES)
    steps = [s.num_steps for s in plan(made, STAGES)[0]]
    tokens = 3 * steps[0] + 5 * steps[1] + 9 * steps[2]
    assert sum(steps) == 40 and trained.train_tokens == 8 * tokens


def test_stages_resumed_within_one_end_as_if_they_had_not_stopped(tmp_path):
    once, _ = fit(tmp_path / "once", training=STAGES)
    seen = []

    class StopError(Exception):
        pass

    def stop(models):
        seen.append(models)
        if len(seen) == 3:
            raise StopError
        return {}

    training = dataclasses.replace(STAGES, checkpoint_every=10)
    with pytest.raises(StopError):
        fit(tmp_path / "twice", training=training, look=stop)
    resumed, _ = fit(tmp_path / "twice", training=training)
    assert same(once.models, resumed.models)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": (8,)}, "a shorter context must have 1 to 7 steps, got 8"),
        ({"lengths": (1, 2, 3, 4)}, "num_steps must be enough .*, got 40"),
    ],
)
def test_lengths_that_do_not_fit_are_refused_before_any_work(
    changes, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, training=dataclasses.replace(TRAINING, **changes))


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path):
    training = dataclasses.replace(TRAINING, learning_rate=1e30, checkpoint_every=10)
    with pytest.raises(
        RunError, match=r"no longer finite: seed 0 at step \d+; no check"
    ):
        fit(tmp_path, training=training)


SCRIPT = """
import sys, pathlib
sys.path.insert(0, {tests!r})
import test_train
test_train.{kind}(pathlib.Path(sys.argv[1]))
"""
LONG = dataclasses.replace(TRAINING, num_steps=1500, checkpoint_every=50)


def imitate(folder):
    """A run long enough to be killed in, by imitation."""
    fit(folder, seeds=(0, 1), training=LONG)


def by_reward(folder, num_steps=1500):
    """One by reward, whose trials are two segments."""
    model = dataclasses.replace(
        RECIPE.model, mixer=("relative",), memory=8, value_head=True
    )
    family = {"family": "BernoulliBandit-DPT-v0", "changes": {"horizon": 8}}
    recipe = Recipe(**family, tokenizer="rl2", model=model)
    training = PpoConfig(
        num_steps=num_steps,
        batch_size=8,
        num_minibatches=2,
        segment_steps=4,
        steps_per_call=10,
        checkpoint_every=min(50, num_steps),
    )
    with throwaway(folder, (0, 1)) as run:
        train_online(run, recipe, training)


def start(folder, kind="imitate"):
    tests = pathlib.Path(__file__).parent
    script = SCRIPT.format(tests=str(tests), kind=kind)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=tests.parent,
        stderr=subprocess.DEVNULL,
    )


def metrics_of(folder):
    return next(iter(folder.glob("throwaway/*/metrics.jsonl")), None)


def wait_for_lines(process, folder, count):
    for _ in range(1200):
        path = metrics_of(folder)
        if process.poll() is not None:
            return
        if path is not None and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.05)


def weights_of(folder):
    return [
        path.read_bytes()
        for path in sorted(folder.glob("throwaway/*/weights/*.safetensors"))
    ]


@pytest.mark.parametrize("kind", ["imitate", "by_reward"])
def test_a_run_killed_three_times_ends_bit_for_bit_as_an_undisturbed_one(
    kind, tmp_path
):
    quiet, killed = (tmp_path / n for n in ("quiet", "killed"))
    undisturbed = start(quiet, kind)
    assert undisturbed.wait(timeout=300) == 0
    chance = random.Random(0)
    kills = 0
    for least in (8, 50, 90):  # chunks of 10 steps that were logged, of 150
        process = start(killed, kind)
        wait_for_lines(process, killed, least + chance.randrange(20))
        time.sleep(chance.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    assert not weights_of(killed)
    assert start(killed, kind).wait(timeout=300) == 0
    assert len(weights_of(quiet)) == 2 and weights_of(killed) == weights_of(quiet)

    def losses(folder):
        lines = metrics_of(folder).read_text().splitlines()
        return [(json.loads(line)["step"], json.loads(line)["loss"]) for line in lines]

    assert losses(killed) == losses(quiet)


def test_trials_are_shared_among_the_devices_there_are(tmp_path):
    """What one device gives: returns, losses, and gradients by their norm."""
    script = (
        "import sys, pathlib; sys.path.insert(0, 'tests'); import test_train;"
        "test_train.by_reward(pathlib.Path(sys.argv[1]), num_steps=20)"
    )
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            env={**os.environ, "JAX_NUM_CPU_DEVICES": str(count)},
            cwd=pathlib.Path(__file__).parent.parent,
            check=True,
        )
        lines = metrics_of(folder).read_text().splitlines()
        names = ("return", "loss", "gradient_norm", "ratio_error")
        found.append([[json.loads(line)[name] for name in names] for line in lines])
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_sigterm_saves_and_exits(tmp_path):
    process = start(tmp_path / "run")
    wait_for_lines(process, tmp_path / "run", 12)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    last = metrics_of(tmp_path / "run").read_text().splitlines()[-1]
    saved = tmp_path.glob("run/throwaway/*/checkpoints/*")
    assert json.loads(last)["step"] in [int(p.name) for p in saved if p.name.isdigit()]


def test_a_batch_is_sharded_over_the_devices_there_are(tmp_path):
    """Several devices on one machine: what one gives, in training and evaluation."""
    script = (
        "import sys, pathlib; sys.path.insert(0, 'tests'); import test_train, jax;"
        "from icrl.devices import num_parts;"
        "assert jax.device_count() == int(sys.argv[2]);"
        "assert num_parts(8) == {1: 1, 4: 4, 6: 2}[jax.device_count()];"
        "import importlib; fitting = importlib.import_module('icrl.training.fit');"
        "make, made = fitting._Fitter._program, [];"
        "keep = lambda self, step: made.append(make(self, step)) or made[-1];"
        "fitting._Fitter._program = keep;"
        "test_train.fit(pathlib.Path(sys.argv[1]), training=test_train.STAGES);"
        "assert [program._cache_size() for program in made] == [1, 1, 1], made;"
        "from icrl import algorithms, evaluation; import envs;"
        "family = envs.family('GaussianBandit-DPT-v0', horizon=8);"
        "agents = {'uniform': algorithms.uniform(family)};"
        "key, tasks = jax.random.key(0), family.split().test;"
        "scores = evaluation.online(key, tasks, agents, num_tasks=7)['uniform'];"
        "print(scores[0, :, -1].tolist())"
    )
    losses, regrets = [], []
    for count in (1, 4, 6):  # of six, two share the batch of 8, and four repeat them
        flags = os.environ.get("XLA_FLAGS", "")
        flags += f" --xla_force_host_platform_device_count={count}"
        folder = tmp_path / str(count)
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder), str(count)],
            env={**os.environ, "XLA_FLAGS": flags},
            cwd=pathlib.Path(__file__).parent.parent,
            check=True,
            capture_output=True,
        )
        regrets.append(json.loads(done.stdout.splitlines()[-1]))
        lines = metrics_of(folder).read_text().splitlines()
        losses.append([json.loads(line)["loss"][0] for line in lines])
    assert len(regrets[0]) == 7
    for several in (1, 2):
        assert np.allclose(losses[0], losses[several], atol=1e-4)
        assert np.allclose(regrets[0], regrets[several], atol=1e-5)


NAN, INFINITY = float("nan"), float("inf")
FAULTS = [
    ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
    ({"num_steps": 50.5}, "num_steps must be a whole number, got 50.5"),
    ({"batch_size": True}, "batch_size must be a whole number, got True"),
    ({"batch_size": 6, "micro_batch": 4}, r"batch_size \(6\) must be a multiple"),
    ({"lengths": (4, 2)}, r"lengths must ascend from 1 on, got \(4, 2\)"),
    ({"lengths": (0,)}, r"lengths must ascend from 1 on, got \(0,\)"),
    ({"micro_batch": 0}, "micro_batch must be at least 1, got 0"),
    ({"micro_batch": -2}, "micro_batch must be at least 1, got -2"),
    ({"num_steps": 45}, r"num_steps \(45\) must be a multiple of steps_per_call"),
    ({"warmup_steps": 40}, r"warmup_steps must lie in \[0, num_steps=40\)"),
    ({"warmup_steps": -1}, r"warmup_steps must lie in \[0, num_steps=40\), got -1"),
    ({"warmup_steps": NAN}, "warmup_steps must be a whole number, got nan"),
    ({"schedule": "linaer"}, "schedule must be one of constant, linear, cosine, got"),
    *(
        ({name: value}, f"{name} must be .*, got {value}")
        for name in ("learning_rate", "clip_norm")
        for value in (0.0, -1.0, NAN, INFINITY)
    ),
    *(
        ({"weight_decay": value}, f"weight_decay must be .*, got {value}")
        for value in (-1.0, NAN, INFINITY)
    ),
    *(
        ({name: value}, rf"{name} must .*, got {value}")
        for name in ("beta1", "beta2")
        for value in (1.0, 1.5, -0.5, NAN)
    ),
    *(
        ({"final_fraction": value}, r"final_fraction must .*, got")
        for value in (-0.5, 1.5, NAN, INFINITY)
    ),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=lambda x: str(x)[:40])
def test_a_bad_size_is_one_clear_line_where_it_is_made_and_where_it_is_read(
    changes, message, monkeypatch
):
    # a user has no run-time checks of annotations
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TRAINING, **changes)
    written = serialization.encode(TRAINING) | changes
    with pytest.raises(ValueError, match=message):
        serialization.decode(TrainingConfig, written)
