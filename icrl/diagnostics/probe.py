"""What can be read off a model's stream by a linear map, fitted and tested apart."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

RIDGES = tuple(10.0**power for power in range(-9, 3))  # of features of variance 1
Samples: TypeAlias = tuple[
    Float[np.ndarray, "tasks decisions width"],
    Float[np.ndarray, "tasks decisions size"],
]


def explained(
    features: Float[np.ndarray, "tasks decisions width"],
    values: Float[np.ndarray, "tasks decisions size"],
    *,
    ridges: Sequence[float] = RIDGES,
) -> float:
    """Returns R², the share of the variance of values that a linear map explains.

    The map is fitted on the first half of the tasks and judged on the second: 1 says
    that the values stand in the features, 0 that they do no better than their mean, and
    less that what was fitted does not carry over. The ridge of the fit is the one with
    which either half of the fitted tasks says most of the other: decisions of one task
    are alike, so that few tasks are fitted by chance. Variances are summed over values.

    Source: Alain and Bengio 2016, "Understanding intermediate layers using linear
    classifier probes", arXiv 1610.01644.

    Args:
        features: of every decision, as float64.
        values: what is sought.
        ridges: of the fit, for each decision, on features of variance 1.

    Raises:
        ValueError: if there are fewer than 4 tasks, or the values to be judged are all
            alike.
    """
    if len(features) < 4:
        raise ValueError(f"tasks must be at least 4, got {len(features)}")
    half = len(features) // 2
    fitted, judged = (features[:half], values[:half]), (features[half:], values[half:])
    one, other = ((features[i:half:2], values[i:half:2]) for i in (0, 1))
    left = sum(_left(*pair, ridges) for pair in ((one, other), (other, one)))
    best = ridges[int(np.argmin(left))]
    whole = ((judged[1] - judged[1].mean((0, 1))) ** 2).sum()
    if whole == 0:
        raise ValueError("values must differ, got one and the same everywhere")
    return float(1 - _left(fitted, judged, [best])[0] / whole)


def _left(
    fitted: Samples, judged: Samples, ridges: Sequence[float]
) -> Float[np.ndarray, " ridges"]:
    """The squared error, on other tasks, of what was fitted with each ridge."""
    (x, y), (x_test, y_test) = (
        [np.concatenate([*part]) for part in samples] for samples in (fitted, judged)
    )
    mean, spread, centre = x.mean(0), x.std(0), y.mean(0)
    kept = spread > 1e-9 * (1 + abs(mean))
    x, x_test = ((z - mean)[:, kept] / spread[kept] for z in (x, x_test))
    variances, directions = np.linalg.eigh(x.T @ x)
    met, x_test = directions.T @ (x.T @ (y - centre)), x_test @ directions
    errors = []
    for ridge in ridges:
        solved = met / (np.maximum(variances, 0.0) + ridge * len(x))[:, None]
        errors.append(((y_test - centre - x_test @ solved) ** 2).sum())
    return np.array(errors)
