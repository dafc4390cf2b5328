"""Linear read-outs: what a linear map can and cannot say."""

import numpy as np
import pytest

from icrl.diagnostics.probe import explained


def r2(features, values, **how):
    return explained(features, {"it": values}, **how)["it"]


def test_what_is_linear_is_explained_and_what_is_not_is_not():
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 25, 6))
    features[..., 5] = 3.0  # a constant, as every stream of a construction has
    linear = features[..., :5] @ random.normal(size=(5, 2)) + 7
    even = features[..., :1] ** 2
    noise = random.normal(size=linear.shape) * linear.std((0, 1))
    values = {"linear": linear, "even": even, "noisy": linear + noise}
    found = explained(features, values)
    assert found["linear"] > 1 - 1e-9
    assert abs(found["even"]) < 0.05
    assert found["noisy"] == pytest.approx(0.5, abs=0.05)


def test_what_is_fitted_to_chance_alone_does_not_carry_over():
    random = np.random.default_rng(1)
    features, values = random.normal(size=(8, 10, 40)), random.normal(size=(8, 10, 1))
    assert r2(features, values, ridges=[1e-9]) < -1
    # with a ridge that other tasks choose, no more is claimed than the mean
    assert -0.3 < r2(features, values) < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_the_ridge_is_that_by_which_other_tasks_are_foretold(seed):
    """What is one number in all of a task has as many values as tasks."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(60, 1, 25)) * np.ones((1, 20, 1))
    features += 1e-3 * random.normal(size=features.shape)  # decisions can be told apart
    noise = random.normal(size=(60, 1, 1))
    values = features[..., :1] + noise + 0.1 * random.normal(size=(60, 20, 1))
    fixed = r2(features, values, ridges=[1e-9])
    assert fixed < -0.5
    assert r2(features, values) > max(fixed + 0.5, -0.5)


def test_three_tasks_cannot_be_fitted_and_judged():
    with pytest.raises(ValueError, match="tasks must be at least 4, got 3"):
        r2(np.zeros((3, 3, 2)), np.zeros((3, 3, 1)))
    with pytest.raises(ValueError, match="values of it must differ"):
        r2(np.zeros((4, 3, 2)), np.ones((4, 3, 1)))
