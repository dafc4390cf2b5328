"""Options of the data act in every experiment, or do not exist there."""

import contextlib
import dataclasses
import types

import jax
import pytest

from icrl import cli, training
from icrl.config import DecisionPretrainingConfig, PretrainingConfig
from icrl.evaluation import playing
from icrl.experiment import EXPERIMENTS
from icrl.pretraining import sample
from icrl.training import Trained

TRAINING = [
    name
    for name in EXPERIMENTS.names()
    if hasattr(EXPERIMENTS[name].presets["smoke"], "pretraining")
]


def changed(config):
    """The config with every option of its data that can be changed changed."""
    fields = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if isinstance(getattr(config, field.name), PretrainingConfig)
    }
    for options in ({"num_examples": 17}, {"empty_context": False}):
        for name, value in fields.items():
            with contextlib.suppress(ValueError, TypeError):  # refused, or no option
                new = dataclasses.replace(value, **options)
                config = dataclasses.replace(config, **{name: new})
                fields[name] = new
    return config


@pytest.mark.parametrize("name", TRAINING)
def test_what_the_options_say_reaches_every_model(name, monkeypatch, tmp_path):
    config = changed(EXPERIMENTS[name].presets["smoke"])
    seen = {}

    def note(run, pretraining, settings, *, name="", look=None, seeds=None):
        seen[name] = pretraining
        return Trained(models=None, seeds=(0,), train_tokens=0)

    def stop(*arguments, **options):
        raise RuntimeError("only the training is looked at")

    monkeypatch.setattr(training, "train_models", note)
    monkeypatch.setattr(playing, "over_tasks", stop)
    run = types.SimpleNamespace(
        config=config, folder=tmp_path, train_tokens=0, shared_data=False, labels={}
    )
    with contextlib.suppress(Exception):  # there is no model to evaluate
        EXPERIMENTS[name].run(run, config)
    assert seen
    if not any(p.options.num_examples for p in seen.values()):
        assert not run.shared_data
    for model, pretraining in seen.items():
        given = config.pretraining
        if model == "dpt_query_first":
            given = config.query_first_pretraining
        if model.endswith(("_optimal_labels", "_expert_biased")):
            given = dataclasses.replace(given, labels="optimal")
        if name == "training_cost":  # labels are what is compared
            given = dataclasses.replace(given, labels=pretraining.options.labels)
        if given.num_examples is None:  # swept: the experiment has its own
            given = dataclasses.replace(
                given, num_examples=pretraining.options.num_examples
            )
        assert pretraining.options == given, model
        assert given.num_examples is not None
    first = next(iter(seen.values()))
    if isinstance(first.options, DecisionPretrainingConfig):
        weight = jax.jit(lambda key: sample(first, key).weights[0])(jax.random.key(0))
        distilled = name in ("relu_against_softmax", "ucbvi_distillation")
        assert weight == (1 if distilled else 0), "decision 0"


@pytest.mark.parametrize("name", ["lin_bernoulli_ad", "ad_dark_room"])
def test_distillation_has_no_empty_context_to_leave_out(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", name, "smoke", "--pretraining.no-empty-context"])
    assert stop.value.code == 2
    assert "--pretraining.no-empty-context" in capsys.readouterr().err


def test_the_empty_context_is_not_left_out_where_no_model_has_one(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(
            ["run", "relu_against_softmax", "smoke", "--pretraining.no-empty-context"]
        )
    assert stop.value.code == 2
    assert "left out by dpt alone" in capsys.readouterr().err


def test_a_number_of_examples_and_a_data_set_exclude_each_other():
    with pytest.raises(ValueError, match="exclude each other, got 3 and 'there'"):
        PretrainingConfig(num_examples=3, dataset="there")
    with pytest.raises(ValueError, match="num_examples must be at least 1, got 0"):
        PretrainingConfig(num_examples=0)
