"""What can be read off a model's stream by a linear map, fitted and tested apart."""

import numpy as np
from jaxtyping import Float

RIDGE = 1e-6  # of features whose variance is 1


def explained(
    features: Float[np.ndarray, "tasks decisions width"],
    values: Float[np.ndarray, "tasks decisions size"],
    *,
    ridge: float = RIDGE,
) -> float:
    """Returns R², the share of the variance of values that a linear map explains.

    The map is fitted on the first half of the tasks and judged on the second: 1 says
    that the values stand in the features, 0 that they do no better than their mean, and
    less that what was fitted does not carry over. Variances are summed over values.

    Source: Alain and Bengio 2016, "Understanding intermediate layers using linear
    classifier probes", arXiv 1610.01644.

    Args:
        features: of every decision, as float64.
        values: what is sought.
        ridge: of the fit, on features of variance 1 and for each decision.

    Raises:
        ValueError: if there is only one task, or the values to be judged are all alike.
    """
    if len(features) < 2:
        raise ValueError(f"tasks must be at least 2, got {len(features)}")
    half = len(features) // 2
    x, y = (np.concatenate([*part[:half]]) for part in (features, values))
    x_test, y_test = (np.concatenate([*part[half:]]) for part in (features, values))
    mean, spread = x.mean(0), x.std(0)
    kept = spread > 1e-9 * (1 + abs(mean))
    x, x_test = ((z - mean)[:, kept] / spread[kept] for z in (x, x_test))
    centre = y.mean(0)
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    fitted = x_test @ np.linalg.solve(gram, x.T @ (y - centre)) + centre
    left, whole = (((y_test - z) ** 2).sum() for z in (fitted, y_test.mean(0)))
    if whole == 0:
        raise ValueError("values must differ, got one and the same everywhere")
    return float(1 - left / whole)
