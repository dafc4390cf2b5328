"""Optimisers by name, against one step done by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from icrl.config import TrainingConfig
from icrl.training.optimizer import make_optimizer

SETTINGS = {"num_steps": 50, "learning_rate": 0.02, "weight_decay": 0.1}


def first_update(config, params, grads):
    optimizer = make_optimizer(config)
    return optimizer.update(grads, optimizer.init(params), params)[0]


def test_muon_makes_the_update_of_a_matrix_orthogonal_and_leaves_vectors_to_adam():
    random = np.random.default_rng(0)
    params = {"matrix": jnp.ones((6, 4)), "vector": jnp.ones(5)}
    skewed = random.normal(size=(6, 4)) * [1, 1e-1, 1e-2, 1e-3]
    grads = {"matrix": jnp.asarray(skewed, float), "vector": jnp.arange(1.0, 6.0)}
    muon = first_update(TrainingConfig(optimizer="muon", **SETTINGS), params, grads)
    nadamw = optax.nadamw(0.02, weight_decay=0.1)
    expected = nadamw.update(grads, nadamw.init(params), params)[0]
    np.testing.assert_allclose(muon["vector"], expected["vector"], rtol=1e-6)
    # the rate times the orthogonal factor and the decoupled decay
    moved = -(np.asarray(muon["matrix"]) / 0.02 + 0.1)
    singular = np.linalg.svd(moved, compute_uv=False)
    assert singular[2] > 0.5 and singular[0] < 1.3  # of the gradient: 1 to 0.01
    left, _, right = np.linalg.svd(skewed, full_matrices=False)
    along = np.diag(left.T @ moved @ right.T)
    assert (along[:3] > 0.5).all()


def test_adamw_is_optaxs_with_the_configs_numbers():
    params, grads = jnp.ones(3), jnp.asarray([1.0, -2.0, 4.0])
    config = TrainingConfig(**SETTINGS, beta1=0.8, beta2=0.99, clip_norm=1.0)
    theirs = optax.adamw(0.02, b1=0.8, b2=0.99, weight_decay=0.1)
    clipped = grads / jnp.linalg.norm(grads)
    expected = theirs.update(clipped, theirs.init(params), params)[0]
    np.testing.assert_allclose(first_update(config, params, grads), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_packed_arrays_are_updated_as_they_would_be_one_by_one(name):
    random = np.random.default_rng(1)
    shapes = {"a": (6, 4), "b": (3,), "c": (6, 4), "d": (4, 6), "e": (2, 3, 4), "f": ()}

    def draw():
        return {k: jnp.asarray(random.normal(size=s), float) for k, s in shapes.items()}

    params, steps = draw(), [draw(), draw()]
    plain = {
        "adamw": optax.adamw(0.02, weight_decay=0.1),
        "muon": optax.contrib.muon(0.02, weight_decay=0.1, adam_weight_decay=0.1),
    }[name]
    ours = make_optimizer(TrainingConfig(optimizer=name, **SETTINGS))
    state, expected = ours.init(params), plain.init(params)
    for grads in steps:
        updates, state = ours.update(grads, state, params)
        theirs, expected = plain.update(grads, expected, params)
        for key in shapes:
            np.testing.assert_allclose(updates[key], theirs[key], rtol=2e-4, atol=1e-7)


def test_a_schedule_gives_every_stage_an_equal_part_of_it():
    config = TrainingConfig(**SETTINGS | {"weight_decay": 0.0}, schedule="linear")
    params, grads = jnp.ones(3), jnp.ones(3)

    def rates(stage_ends):
        """Of each step: Adam's update is the rate, where gradients are all the same."""
        optimizer = make_optimizer(config, stage_ends)
        state, found = optimizer.init(params), []
        for _ in range(config.num_steps):
            updates, state = optimizer.update(grads, state, params)
            found.append(-float(updates[0]))
        return np.array(found)

    along_steps = 0.02 * (1 - np.arange(50) / 50)
    np.testing.assert_allclose(rates(()), along_steps, rtol=1e-4)
    np.testing.assert_allclose(rates([50]), along_steps, rtol=1e-4)
    # 40 steps on short contexts, 10 on contexts of four times their length
    read = np.interp(np.arange(50), [0, 40, 50], [0, 25, 50])
    np.testing.assert_allclose(rates([40, 50]), 0.02 * (1 - read / 50), rtol=1e-4)
