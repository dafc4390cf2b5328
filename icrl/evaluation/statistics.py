"""Intervals that know their unit of replication.

A learned agent's numbers form a table [seeds, tasks]: every training seed plays the
same tasks. The unit is the training seed, so both axes are resampled; an algorithm
without seeds has one row and is resampled over tasks alone. Agents that played the same
tasks with the same noise are compared by their differences, task by task.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

RESAMPLES = 1000


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval; arrays where the values were curves."""

    mean: Float[np.ndarray, "*rest"]
    low: Float[np.ndarray, "*rest"]
    high: Float[np.ndarray, "*rest"]


def interval(
    values: Float[np.ndarray, "seeds tasks *rest"],
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean over seeds and tasks, with a hierarchical bootstrap interval.

    Seeds and tasks are resampled independently, since they are crossed (Owen 2007, "The
    pigeonhole bootstrap"). Resampling n units understates their variance by (n - 1)/n,
    which matters for three seeds: deviations are stretched by sqrt(n / (n - 1)) (Rao
    and Wu 1988, the rescaling bootstrap). One seed says nothing of the variance among
    seeds; then the interval is over tasks alone.

    Args:
        values: one number, or one curve, for each seed and task.
        resamples: bootstrap resamples.
        level: coverage.
        seed: of the resampling.
    """
    values = np.asarray(values, np.float64)
    means = resampled_means(values, resamples=resamples, seed=seed)
    tails = 50 * (1 - level)
    low, high = np.percentile(means, [tails, 100 - tails], axis=0)
    return Interval(values.mean((0, 1)), low, high)


def resampled_means(
    values: Float[np.ndarray, "seeds tasks *rest"],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    stretched: bool = True,
) -> Float[np.ndarray, "resamples *rest"]:
    """The means that `interval` takes percentiles of, for functions of several.

    Args:
        values: one array for each seed and task.
        resamples: bootstrap resamples.
        seed: of the resampling; the same draws the same seeds and tasks.
        stretched: as in `interval`. Stretched weights may be negative, which is right
            for means and wrong for ratios and maxima of them.
    """
    values = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    seed_weights = _weights(random, values.shape[0], resamples, stretched)
    task_weights = _weights(random, values.shape[1], resamples, stretched)
    flat = values.reshape(*values.shape[:2], -1)
    means = np.zeros((resamples, flat.shape[-1]))
    for row, weight in zip(flat, seed_weights.T, strict=True):
        means += weight[:, None] * (task_weights @ row)
    return means.reshape(resamples, *values.shape[2:])


def _weights(
    random: np.random.Generator, count: int, resamples: int, stretched: bool
) -> Float[np.ndarray, "resamples count"]:
    """Bootstrap weights that sum to one; stretched, they have unbiased variance."""
    even = np.full(count, 1 / count)
    if count == 1:
        return np.broadcast_to(even, (resamples, 1))
    drawn = random.multinomial(count, even, size=resamples) / count
    return even + np.sqrt(count / (count - 1)) * (drawn - even) if stretched else drawn


def standard_error(values: Float[np.ndarray, " units"]) -> float:
    """Standard error of the mean of independent values."""
    values = np.asarray(values, np.float64)
    return float(values.std(ddof=1) / np.sqrt(values.size))
