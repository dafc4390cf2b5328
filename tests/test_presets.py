"""Every preset can begin: what it asks of data, labels, lengths and trials fits."""

import contextlib
import dataclasses
import functools
import types

import jax
import numpy as np
import pytest

from icrl import results, training
from icrl.evaluation import playing
from icrl.experiment import EXPERIMENTS
from icrl.pretraining import dataset, sample
from icrl.training import Trained, imitation, online

PRESETS = [
    (name, preset)
    for name in EXPERIMENTS.names()
    if EXPERIMENTS[name].source.startswith("experiments.")
    for preset in EXPERIMENTS[name].presets
    if preset != "smoke"  # is run whole elsewhere
]


class StoppedError(Exception):
    """Only what comes before training is looked at."""


def two_empty_examples(pretraining, num_examples, seed):
    """In place of a data set: nothing is computed."""
    key = jax.random.key(seed)
    one = jax.eval_shape(lambda key: sample(pretraining, key), key)
    empty = {n: np.zeros((2, *x.shape), x.dtype) for n, x in one._asdict().items()}
    return empty


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_can_begin(name, preset, monkeypatch, tmp_path):
    config = EXPERIMENTS[name].presets[preset]
    if name == "training_cost":  # one side is PyTorch's; the floor takes a minute
        config = dataclasses.replace(config, published=False, num_contexts=2)
    begun, refused = [], []

    def begin(start, recipe):
        try:
            start()
        except Exception as error:
            refused.append(error)
            raise
        begun.append(start)
        shapes = jax.eval_shape(recipe.make_model, jax.random.key(0))
        models = jax.tree.map(lambda x: np.zeros((1, *x.shape), x.dtype), shapes)
        return Trained(models=models, seeds=(0,), train_tokens=0)

    def imitate(run, pretraining, settings, **options):
        start = functools.partial(imitation.plan, pretraining, settings)
        return begin(start, pretraining.recipe)

    def by_reward(run, recipe, settings, **options):
        start = functools.partial(online.online_learner, recipe, settings)
        return begin(start, recipe)

    def stop(*arguments, **options):
        raise StoppedError

    monkeypatch.setattr(training, "train_models", imitate)
    monkeypatch.setattr(online, "train_online", by_reward)
    monkeypatch.setattr(playing, "over_tasks", stop)
    monkeypatch.setattr(results, "finish", stop)
    monkeypatch.setattr(dataset, "_generate", two_empty_examples)
    run = types.SimpleNamespace(
        config=config,
        folder=tmp_path,
        train_tokens=0,
        shared_data=False,
        labels={},
        metrics_path=stop,
    )
    with contextlib.suppress(StoppedError):
        EXPERIMENTS[name].run(run, config)
    assert not refused
    assert begun or not hasattr(config, "training")
