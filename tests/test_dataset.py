"""Frozen data: hashed, documented, and the same as the generator's."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from icrl import algorithms, cli
from icrl.agents import Recipe
from icrl.config import DecisionPretrainingConfig
from icrl.errors import RunError
from icrl.keys import dataset_key
from icrl.pretraining import dataset, methods, sample

RECIPE = Recipe(family="GaussianBandit-DPT-v0", changes={"horizon": 5})


def choices(recipe=RECIPE, behaviour="uniform", **options):
    family = recipe.make_family()
    return methods.decision_pretraining(
        recipe,
        algorithms.make(behaviour, family),
        DecisionPretrainingConfig(**options),
        behaviour=behaviour,
    )


def freeze(folder, seed=0, num_examples=30):
    return dataset.freeze(folder, choices(), num_examples=num_examples, seed=seed)


def test_a_frozen_set_holds_the_generators_examples(tmp_path):
    manifest = freeze(tmp_path / "data")
    data = dataset.load(tmp_path / "data")
    assert manifest["shapes"]["tokens"] == [30, 6, 8]
    key = jax.random.fold_in(dataset_key(0), 7)
    expected = sample(choices(), key)
    for have, want in zip(data, expected, strict=True):
        assert np.allclose(have[7], want, atol=1e-6)
    assert "sha256" in (tmp_path / "data" / "README.md").read_text()


def test_the_same_seed_gives_the_same_hash_and_another_seed_another(tmp_path):
    hashes = [freeze(tmp_path / str(i), seed=i // 2)["sha256"] for i in range(4)]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]


def test_rows_are_drawn_from_the_set(tmp_path):
    freeze(tmp_path / "data")
    draw, data = dataset.source(choices(dataset=str(tmp_path / "data")))
    keys = jax.random.split(jax.random.key(1), 200)
    drawn = jax.vmap(draw, (None, 0))(data, keys)
    rows = {row.tobytes() for row in np.asarray(drawn.tokens)}
    known = {row.tobytes() for row in np.asarray(data.tokens)}
    assert rows <= known and len(rows) > 25


def test_a_set_made_for_a_run_is_the_one_that_would_be_frozen(tmp_path):
    freeze(tmp_path / "data")
    frozen = dataset.load(tmp_path / "data")
    _, made = dataset.source(choices(num_examples=30))
    for have, want in zip(made, frozen, strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_set_that_is_not_its_manifests_is_refused(tmp_path):
    folder = tmp_path / "data"
    freeze(folder)
    data = (folder / "labels.npy").read_bytes()
    (folder / "labels.npy").write_bytes(data[:-8])
    with pytest.raises(RunError, match="is not the data set of its manifest"):
        dataset.load(folder)
    (folder / "labels.npy").unlink()
    with pytest.raises(RunError, match=r"labels\.npy is missing"):
        dataset.load(folder)


def other(**changes):
    return dataclasses.replace(RECIPE, **changes)


OTHERS = [
    ({"behaviour": "ucb"}, "behaviour is 'uniform' there and 'ucb' here"),
    ({"labels": "posterior"}, "expert is 'optimal' there and 'posterior' here"),
    ({"empty_context": False}, "empty_context is True there and False here"),
    ({"recipe": other(num_episodes=2)}, "num_episodes is 1 there and 2 here"),
    (
        {"recipe": other(tokenizer="step")},
        "tokenizer is 'query_first' there and 'step'",
    ),
    (
        {"recipe": other(changes={"horizon": 9})},
        r"family is 'GaussianBandit-DPT-v0\[horizon=5\]' there and .*horizon=9\]' here",
    ),
    (
        {"recipe": other(family="BernoulliBandit-DPT-v0")},
        "family is 'Gaussian.*' there and 'Bernoulli.*' here",
    ),
]


@pytest.mark.parametrize(("changes", "difference"), OTHERS)
def test_a_set_of_another_pretraining_is_refused_and_says_why(
    tmp_path, changes, difference
):
    freeze(tmp_path / "data")
    given = choices(dataset=str(tmp_path / "data"), **changes)
    message = f"data was frozen by another pretraining: {difference}"
    with pytest.raises(RunError, match=message):
        dataset.source(given)


def test_a_set_without_a_description_is_refused(tmp_path):
    plain = choices()._replace(description={})
    dataset.freeze(tmp_path / "data", plain, num_examples=3, seed=0)
    given = choices(dataset=str(tmp_path / "data"))
    with pytest.raises(RunError, match="behaviour is 'nothing' there"):
        dataset.source(given)


def test_the_command_freezes_what_an_experiment_takes_and_no_more(
    tmp_path, capsys, monkeypatch
):
    """The quickstart's contexts: its own, and those of one of two models elsewhere."""
    monkeypatch.setenv("ICRL_RESULTS", str(tmp_path / "results"))
    data = str(tmp_path / "data")
    words = ["--family", "GaussianBandit-DPT-v0", "--horizon", "10", "--out", data]
    cli.main(["freeze", *words, "--num-examples", "50"])
    card = (tmp_path / "data" / "README.md").read_text()
    for word in ("dirichlet_point_mass", "optimal", "query_first", "num_episodes"):
        assert word in card, word
    recipe = other(changes={"horizon": 10})
    dataset.check(choices(recipe, behaviour="dirichlet_point_mass", dataset=data))
    words = ["--pretraining.labels", "optimal", "--pretraining.dataset", data]
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "dpt_expert_bias", "smoke", *words])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "behaviour is 'dirichlet_point_mass' there and" in said
    assert not list((tmp_path / "results").glob("*/*/weights/*.safetensors"))


def test_a_set_is_never_overwritten(tmp_path):
    freeze(tmp_path / "data")
    with pytest.raises(RunError, match="never overwritten"):
        freeze(tmp_path / "data")
    with pytest.raises(ValueError, match="num_examples must be at least 1, got 0"):
        freeze(tmp_path / "other", num_examples=0)
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["seed"] == 0
