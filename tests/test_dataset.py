"""Frozen data: hashed, documented, and the same as the generator's."""

import json

import jax
import numpy as np
import pytest

import envs
from envs.splits import split_prior
from icrl import algorithms, pretraining
from icrl.config import PretrainingConfig
from icrl.errors import RunError
from icrl.pretraining import Pretraining, dataset, sample
from icrl.tokenizers.query_first import query_first

FAMILY = envs.family("GaussianBandit-DPT-v0", horizon=5)


def choices(family=FAMILY, **options):
    return Pretraining(
        tasks=split_prior(family).train,
        context=lambda task: algorithms.uniform(family),
        expert=pretraining.optimal_expert(),
        tokenizer=query_first(family),
        options=PretrainingConfig(**options),
    )


def freeze(folder, seed=0, num_examples=30):
    return dataset.freeze(
        folder,
        choices(),
        num_examples=num_examples,
        seed=seed,
        description={"family": FAMILY.name},
    )


def test_a_frozen_set_holds_the_generators_examples(tmp_path):
    manifest = freeze(tmp_path / "data")
    data = dataset.load(tmp_path / "data")
    assert manifest["shapes"]["tokens"] == [30, 6, 8]
    key = jax.random.fold_in(jax.random.key(0), 7)
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


def test_a_set_of_other_sizes_is_refused(tmp_path):
    freeze(tmp_path / "data")
    family = FAMILY.replace(name="", horizon=9)
    longer = choices(family, dataset=str(tmp_path / "data"))
    with pytest.raises(RunError, match=r"tokens is \(6, 8\) there and \(10, 8\) here"):
        dataset.source(longer)


def test_a_set_is_never_overwritten(tmp_path):
    freeze(tmp_path / "data")
    with pytest.raises(RunError, match="never overwritten"):
        freeze(tmp_path / "data")
    with pytest.raises(ValueError, match="num_examples must be at least 1, got 0"):
        freeze(tmp_path / "other", num_examples=0)
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["seed"] == 0
