"""One loop for any loss: learners that have nothing in common with imitation."""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icrl import runs
from icrl.config import ExperimentConfig
from icrl.errors import RunError
from icrl.experiment import Experiment
from icrl.keys import Purpose, fold, training_key
from icrl.runs.metrics import Progress, read_metrics
from icrl.training import Learner, fit

MEANS = jnp.array([0.1, 0.9, 0.4])  # of the arms that REINFORCE pulls
SIZES = {"num_steps": 60, "steps_per_call": 5, "checkpoint_every": 10}


class Reinforce(NamedTuple):
    """A policy, and what no supervised learner has: a baseline and a random walk."""

    logits: Any
    baseline: Any
    walk: Any  # of the environment, which goes on from step to step
    key: Any


def reinforce(rate=0.3) -> Learner:
    def init(key, model=None):
        logits = 0.01 * jax.random.normal(jax.random.fold_in(key, 0), MEANS.shape)
        if model is not None:
            logits = model["logits"]
        walk_key = jax.random.fold_in(key, 1)
        return Reinforce(logits, jnp.zeros(()), jnp.zeros(()), walk_key)

    def step(state, key, data):
        key_walk, key_next = jax.random.split(state.key)
        walk = 0.9 * state.walk + 0.1 * jax.random.normal(key_walk)
        actions = jax.random.categorical(key, state.logits, shape=(16,))
        rewards = data[actions] + walk

        def loss(logits):
            chosen = jax.nn.log_softmax(logits)[actions]
            return -jnp.mean(chosen * (rewards - state.baseline))

        value, grads = jax.value_and_grad(loss)(state.logits)
        after = Reinforce(
            logits=state.logits - rate * grads,
            baseline=0.9 * state.baseline + 0.1 * rewards.mean(),
            walk=walk,
            key=key_next,
        )
        return after, {"loss": value, "minus_return": -rewards.mean()}

    return Learner(
        init,
        step,
        lambda state: {"logits": state.logits},
        best="minus_return",
        num_tokens=16 * 300,
    )


def train(folder, learner, seeds=(0, 1), **sizes):
    config = ExperimentConfig(seeds=seeds)
    experiment = Experiment(
        name="throwaway",
        question="Does it train?",
        presets={"cpu": config},
        costs={"cpu": "seconds"},
        run=lambda run, config: None,
    )
    with runs.open_run(experiment, "cpu", config, root=folder) as run:
        return fit(run, learner, data=MEANS, **{**SIZES, **sizes}), run


def losses(folder):
    lines = read_metrics(next(folder.glob("throwaway/*/metrics.jsonl")))
    return [(line["step"], line["loss"], line["minus_return"]) for line in lines]


def test_another_loss_trains_and_its_own_number_marks_the_best(tmp_path):
    trained, run = train(tmp_path, reinforce(), num_steps=300)
    assert trained.models["logits"].shape == (2, 3)
    assert trained.models["logits"].argmax(-1).tolist() == [1, 1]
    assert trained.train_tokens == 2 * 300 * 16
    kept = {step: np.mean(value) for step, _, value in losses(tmp_path)}
    with run.checkpoints(run.groups[0]) as checkpoints:
        saved = range(10, 301, 10)
        assert checkpoints.best() == min(saved, key=kept.__getitem__)


def test_training_goes_on_from_the_models_of_the_same_seeds(tmp_path):
    first, _ = train(tmp_path / "first", reinforce(), seeds=(0, 1, 2))
    still, _ = train(tmp_path / "still", reinforce(0.0), seeds=(2, 0), start_from=first)
    assert still.seeds == (2, 0)
    logits = first.models["logits"]
    np.testing.assert_array_equal(still.models["logits"], logits[jnp.array([2, 0])])
    further, _ = train(tmp_path / "further", reinforce(), seeds=(0,), start_from=first)
    best = jax.nn.softmax(further.models["logits"][0])[1]
    assert best > jax.nn.softmax(logits[0])[1]
    with pytest.raises(RunError, match=r"no model to start from for the seeds \[3\]"):
        train(tmp_path / "lost", reinforce(), seeds=(0, 3), start_from=first)


def test_a_state_of_any_shape_resumes_bit_for_bit(tmp_path, monkeypatch):
    """The walk and its key go on where they were, not from their start."""
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    whole, _ = train(quiet, reinforce())
    update = Progress.update

    def stop(self, done, **values):
        update(self, done, **values)
        if done == 35:  # after checkpoint 30, whose step 35 is lost
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", stop)
        with pytest.raises(RuntimeError, match="killed"):
            train(killed, reinforce())
    resumed, _ = train(killed, reinforce())
    assert np.array_equal(resumed.models["logits"], whole.models["logits"])
    assert losses(killed) == losses(quiet)


def test_the_step_is_compiled_once_whatever_the_types_of_the_first_state(tmp_path):
    plain, traced = reinforce(), []

    def init(key):
        return plain.init(key)._replace(baseline=0.0, walk=jnp.full((), 0.0))

    def step(state, key, data):
        traced.append(state)
        return plain.step(state, key, data)

    train(tmp_path, plain._replace(init=init, step=step))
    assert len(traced) == 1


def test_a_look_at_the_models_stands_in_the_log_of_every_checkpoint(tmp_path):
    seen = []

    def look(models):
        seen.append(np.asarray(models["logits"]))
        return {"chosen": seen[-1].argmax(-1)}

    trained, run = train(tmp_path, reinforce(), num_steps=30, look=look)
    assert np.array_equal(trained.models["logits"], seen[-1]) and len(seen) == 3
    lines = read_metrics(run.folder / "metrics.jsonl")
    looks = [line for line in lines if "chosen" in line]
    assert [line["step"] for line in looks] == [10, 20, 30]
    assert [line["chosen"] for line in looks] == [list(s.argmax(-1)) for s in seen]
    spent = [line["train_seconds"] for line in looks]
    assert 0 < spent[0] < spent[1] < spent[2]


def test_it_says_that_it_compiles_before_the_first_step(tmp_path, capsys):
    train(tmp_path, reinforce(), num_steps=10)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "training: compiling" and last.startswith("training: 10/10 steps")


def test_a_seed_that_diverges_is_left_out_and_the_others_go_on(tmp_path):
    plain = reinforce()

    def step(state, key, data):
        state, logged = plain.step(state, key, data)
        poisoned = state.baseline > 1e6
        return state, logged | {"loss": jnp.where(poisoned, jnp.nan, logged["loss"])}

    def init(key):
        state = plain.init(key)
        second = fold(training_key(1), Purpose.INIT)
        bad = (jax.random.key_data(key) == jax.random.key_data(second)).all()
        return state._replace(baseline=jnp.where(bad, 1e12, 0.0))

    trained, run = train(tmp_path, plain._replace(init=init, step=step))
    assert trained.seeds == (0,)
    last = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["loss"][1] is None and last["loss"][0] is not None


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path):
    plain = reinforce()

    def step(state, key, data):
        """The baseline grows a hundredfold a step, and soon leaves float32."""
        state, logged = plain.step(state, key, data)
        return state._replace(baseline=100 * state.baseline + 1), logged

    message = r"no longer finite: seed 3 at step 21; checkpoint 20 is kept"
    with pytest.raises(RunError, match=message):
        train(tmp_path, plain._replace(step=step), seeds=(3,))
