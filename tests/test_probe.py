"""Linear read-outs: what a linear map can and cannot say."""

import numpy as np
import pytest

from icrl.diagnostics.probe import explained


def test_what_is_linear_is_explained_and_what_is_not_is_not():
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 25, 6))
    features[..., 5] = 3.0  # a constant, as every stream of a construction has
    linear = features[..., :5] @ random.normal(size=(5, 2)) + 7
    assert explained(features, linear) > 1 - 1e-9
    even = features[..., :1] ** 2
    assert abs(explained(features, even)) < 0.05
    noise = random.normal(size=linear.shape) * linear.std((0, 1))
    assert explained(features, linear + noise) == pytest.approx(0.5, abs=0.05)


def test_what_is_fitted_to_chance_alone_does_not_carry_over():
    random = np.random.default_rng(1)
    features, values = random.normal(size=(8, 10, 40)), random.normal(size=(8, 10, 1))
    assert explained(features, values, ridges=[1e-9]) < -1
    # with a ridge that other tasks choose, no more is claimed than the mean
    assert -0.3 < explained(features, values) < 0.05


def test_the_ridge_is_that_by_which_other_tasks_are_foretold():
    """Features that are one number in all of a task: it has a unit, not decisions."""
    random = np.random.default_rng(2)
    of_task = random.normal(size=(60, 1, 25)) * np.ones((1, 20, 1))
    signal = of_task[..., :1] + 0.1 * random.normal(size=(60, 20, 1))
    chosen = explained(of_task, signal)
    fixed = [explained(of_task, signal, ridges=[r]) for r in (1e-6, 1e-2, 1.0, 100.0)]
    assert chosen > max(fixed) - 0.1 and chosen > 0.5


def test_three_tasks_cannot_be_fitted_and_judged():
    with pytest.raises(ValueError, match="tasks must be at least 4, got 3"):
        explained(np.zeros((3, 3, 2)), np.zeros((3, 3, 1)))
    with pytest.raises(ValueError, match="values must differ"):
        explained(np.zeros((4, 3, 2)), np.ones((4, 3, 1)))
