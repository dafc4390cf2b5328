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
    features, values = random.normal(size=(6, 10, 40)), random.normal(size=(6, 10, 1))
    assert explained(features, values) < 0


def test_one_task_cannot_be_fitted_and_judged():
    with pytest.raises(ValueError, match="tasks must be at least 2, got 1"):
        explained(np.zeros((1, 3, 2)), np.zeros((1, 3, 1)))
    with pytest.raises(ValueError, match="values must differ"):
        explained(np.zeros((2, 3, 2)), np.ones((2, 3, 1)))
