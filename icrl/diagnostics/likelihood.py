"""Maximum likelihood of one parameter, from a table of values that were tried."""

import numpy as np
from jaxtyping import Float

from icrl.evaluation.statistics import resampled_means

NO_LAPSE = 1e-5  # a smaller estimate is 0
SAME = 1e-6  # nats, a difference of log likelihoods that is rounding


def fit_lapse(
    taken: Float[np.ndarray, "*trajectories time"], chance: float
) -> tuple[float, Float[np.ndarray, "*trajectories time"]]:
    """The likeliest lapse, and the log likelihood of every action with it, in nats.

    The likelihood is concave in the lapse, so the sign of its slope is bisected.

    Args:
        taken: probability that a candidate gave the action taken.
        chance: that of any action in a lapse.
    """
    low, high = 0.0, 1.0
    while high - low > NO_LAPSE / 4:
        lapse = (low + high) / 2
        slope = ((chance - taken) / (taken + lapse * (chance - taken))).sum()
        low, high = (lapse, high) if slope > 0 else (low, lapse)
    lapse = (low + high) / 2  # never 0, where an impossible action has no logarithm
    log_likelihood = np.log(taken + lapse * (chance - taken))
    return (lapse if lapse > NO_LAPSE else 0.0), log_likelihood


def middle_of_best(scores: Float[np.ndarray, " values"]) -> int:
    """Index of the highest score; of several the one in the middle."""
    best = np.flatnonzero(scores >= scores.max() - SAME)
    return int(best[len(best) // 2])


def interval(
    values: Float[np.ndarray, " values"],
    table: Float[np.ndarray, "values seeds tasks"],
    best: int,
) -> tuple[float, float]:
    """Where the likeliest value lies in 95 % of bootstrap resamples.

    Seeds and tasks are resampled as everywhere (`icrl.statistics`), but not stretched:
    the likeliest value is no mean. Every value keeps its lapse of all trajectories.
    """
    num_trajectories = table[0].size
    totals = np.moveaxis(table, 0, -1)
    scores = num_trajectories * resampled_means(totals)
    # values that are equally likely: from the first of them to the last
    first = likeliest(values, scores)
    last = 1 / likeliest(1 / values[::-1], scores[:, ::-1])
    low, high = np.percentile(first, 2.5), np.percentile(last, 97.5)
    before, after = values[max(best - 1, 0)], values[min(best + 1, len(values) - 1)]
    return float(min(low, before)), float(max(high, after))


def likeliest(
    values: Float[np.ndarray, " values"], scores: Float[np.ndarray, "rows values"]
) -> Float[np.ndarray, " rows"]:
    """The value of highest score in every row, read between the values tried.

    The vertex of the parabola through the best one and its neighbours, in log(value).
    """
    rows, x = np.arange(len(scores)), np.log(values)
    best = (scores >= scores.max(1, keepdims=True) - SAME).argmax(1)
    best = np.clip(best, 1, len(values) - 2)
    x0, x1, x2 = (x[best + k] for k in (-1, 0, 1))
    y0, y1, y2 = (scores[rows, best + k] for k in (-1, 0, 1))
    rise, fall = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = np.minimum((fall - rise) / (x2 - x0), -SAME)  # a maximum bends down
    return np.exp(np.clip((x0 + x1) / 2 - rise / bend / 2, x0, x2))
