"""What can be read off a model's stream by a linear map, fitted and tested apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

RIDGES = tuple(10.0**power for power in range(-9, 3))  # of features of variance 1
FOLDS = 5  # of tasks, to choose among them


def explained(
    features: Float[np.ndarray, "tasks decisions width"],
    values: Mapping[str, Float[np.ndarray, "tasks decisions _"]],
    *,
    ridges: Sequence[float] = RIDGES,
) -> dict[str, float]:
    """Returns R² of each quantity: how much of it a linear map explains.

    The map is fitted on the first half of the tasks and judged on the second: 1 says
    that the values stand in the features, 0 that they do no better than their mean, and
    less that what was fitted does not carry over. The ridge of the fit is the one with
    which four fifths of the fitted tasks say most of the others: decisions of one task
    are alike, so that few tasks are fitted by chance. Variances are summed over values.

    Source: Alain and Bengio 2016, "Understanding intermediate layers using linear
    classifier probes", arXiv 1610.01644.

    Args:
        features: of every decision, as float64.
        values: what is sought, by name.
        ridges: of the fit, for each decision, on features of variance 1.

    Raises:
        ValueError: if there are fewer than 4 tasks, or the values to be judged are all
            alike.
    """
    if len(features) < 4:
        raise ValueError(f"tasks must be at least 4, got {len(features)}")
    tasks, half = np.arange(len(features)), len(features) // 2
    fold = np.where(tasks < half, tasks % FOLDS, -1)
    errors = {name: np.zeros(len(ridges)) for name in values}
    for left_out in range(min(FOLDS, half)):
        fitted = (fold >= 0) & (fold != left_out)
        found = _squared_errors(features, values, fitted, fold == left_out, ridges)
        errors = {name: errors[name] + found[name] for name in values}
    judged = _squared_errors(features, values, tasks < half, tasks >= half, ridges)
    shares = {}
    for name, y in values.items():
        whole = ((y[half:] - y[half:].mean((0, 1))) ** 2).sum()
        if whole == 0:
            raise ValueError(f"values of {name} must differ, got the same everywhere")
        shares[name] = float(1 - judged[name][np.argmin(errors[name])] / whole)
    return shares


def _squared_errors(
    features: Float[np.ndarray, "tasks decisions width"],
    values: Mapping[str, Float[np.ndarray, "tasks decisions _"]],
    fitted: Bool[np.ndarray, " tasks"],
    judged: Bool[np.ndarray, " tasks"],
    ridges: Sequence[float],
) -> dict[str, Float[np.ndarray, " ridges"]]:
    """Of what is fitted on some tasks and judged on others, with each ridge."""
    x, x_test = (np.concatenate([*features[which]]) for which in (fitted, judged))
    mean, spread = x.mean(0), x.std(0)
    kept = spread > 1e-9 * (1 + abs(mean))
    x, x_test = ((z - mean)[:, kept] / spread[kept] for z in (x, x_test))
    variances, directions = np.linalg.eigh(x.T @ x)
    x, x_test = x @ directions, x_test @ directions
    errors = {}
    for name, of_all in values.items():
        y, y_test = (np.concatenate([*of_all[which]]) for which in (fitted, judged))
        projected, left = x.T @ (y - y.mean(0)), y_test - y.mean(0)
        errors[name] = np.array(
            [
                (
                    (left - (x_test / (variances + ridge * len(x))) @ projected) ** 2
                ).sum()
                for ridge in ridges
            ]
        )
    return errors
