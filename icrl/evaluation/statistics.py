"""Intervals that know their units of replication.

A learned agent's numbers form a table [seeds, tasks]: every training seed plays the
same tasks. Seeds and tasks are both samples of what might have been, and both enter the
interval; an algorithm without seeds has one row, and so has an agent of one training
seed, whose interval holds given this seed. Agents that played the same tasks with the
same noise are compared by their differences, task by task.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit

RESAMPLES = 1000


class Interval(NamedTuple):
    """A mean with its 95 % interval; arrays where the values were curves."""

    mean: Float[np.ndarray, "*rest"]
    low: Float[np.ndarray, "*rest"]
    high: Float[np.ndarray, "*rest"]


def interval(
    values: Float[np.ndarray, "seeds tasks *rest"], *, level: float = 0.95
) -> Interval:
    """Mean over seeds and tasks, and an interval for it over new seeds and new tasks.

    The table is crossed: value = mean + seed + task + rest, each random. The mean's
    variance has a part of each, estimated from the mean squares as (MSS - MSE) / (S T),
    (MST - MSE) / (S T) and MSE / (S T). Two or three seeds say little of their part, so
    each part is stretched by Student's quantile of its own degrees of freedom, S - 1,
    T - 1 and (S - 1)(T - 1) (a modified large-sample interval, Graybill and Wang 1980).
    Satterthwaite's one quantile for the sum covers less with two seeds (92 %), whose
    difference may be small by chance.

    Args:
        values: one number, or one curve, for each seed and task.
        level: coverage.

    Returns:
        Arrays without the first two axes. One seed says nothing of other seeds, and one
        task nothing of other tasks: the interval is then over the other of the two, and
        has no width where both are one.
    """
    values = np.asarray(values, np.float64)
    seeds, tasks = values.shape[:2]
    between_seeds, between_tasks, of_rest = _mean_squares(values)
    squared = (
        _quantile(seeds - 1, level) ** 2 * np.maximum(between_seeds - of_rest, 0)
        + _quantile(tasks - 1, level) ** 2 * np.maximum(between_tasks - of_rest, 0)
        + _quantile((seeds - 1) * (tasks - 1), level) ** 2 * of_rest
    )
    return _around(values.mean((0, 1)), squared / (seeds * tasks))


def proportion(count: int, number: int, *, level: float = 0.95) -> Interval:
    """The share of trials that succeeded, with Wilson's interval.

    Source: Wilson 1927. Unlike the normal interval it has a width at 0 and at 1.

    Args:
        count: successes.
        number: trials, at least one.
        level: coverage.
    """
    share, squared = count / number, float(ndtri(0.5 + level / 2)) ** 2
    middle = (share + squared / (2 * number)) / (1 + squared / number)
    spread = share * (1 - share) / number + squared / (4 * number**2)
    half = np.sqrt(squared * spread) / (1 + squared / number)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    ends = share, min(low, share), max(high, share)  # but for rounding
    return Interval(*map(np.asarray, ends))


def difference(
    one: Float[np.ndarray, "seeds tasks"],
    other: Float[np.ndarray, "others tasks"],
    *,
    level: float = 0.95,
) -> Interval:
    """The mean of one less that of another, trained apart and met by the same tasks.

    As `interval`: the seeds of each have a part of their own, and the tasks and the
    rest have theirs from the differences of the two means in each task.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    tasks = one.shape[1]
    paired = one.mean(0) - other.mean(0)
    _, between_tasks, _ = _mean_squares(paired[None])
    squared = _quantile(tasks - 1, level) ** 2 * between_tasks / tasks
    for table in (one, other):
        seeds = len(table)
        between_seeds, _, of_rest = _mean_squares(table)
        own = np.maximum(between_seeds - of_rest, 0) / (seeds * tasks)
        squared = squared + _quantile(seeds - 1, level) ** 2 * own
    return _around(paired.mean(), squared)


def _mean_squares(
    values: Float[np.ndarray, "seeds tasks *rest"],
) -> tuple[Float[np.ndarray, "*rest"], ...]:
    """Between seeds, between tasks, and of the rest; 0 where there is only one."""
    seeds, tasks = values.shape[:2]
    mean = values.mean((0, 1))
    of_seeds, of_tasks = values.mean(1) - mean, values.mean(0) - mean
    rest = values - mean - of_seeds[:, None] - of_tasks[None]
    found = (
        tasks * np.sum(of_seeds**2, 0) / max(seeds - 1, 1),
        seeds * np.sum(of_tasks**2, 0) / max(tasks - 1, 1),
        np.sum(rest**2, (0, 1)) / max((seeds - 1) * (tasks - 1), 1),
    )
    return tuple(np.asarray(square) for square in found)


def _around(mean: Any, squared: Any) -> Interval:
    """The interval of half the width `squared ** 0.5` around a mean."""
    half = np.sqrt(squared)
    return Interval(mean, mean - half, mean + half)


def _quantile(freedom: int, level: float) -> float:
    """Student's two-sided quantile; 0 where nothing varies."""
    return float(stdtrit(freedom, (1 + level) / 2)) if freedom else 0.0


def by_distinct_task(
    values: Float[np.ndarray, "seeds trajectories *rest"],
    task_ids: Int[np.ndarray, " trajectories"],
) -> Float[np.ndarray, "seeds tasks *rest"]:
    """The mean over the trajectories in each distinct task, in the order of the ids.

    Trajectories in one task share what makes it easy or hard, so that the distinct task
    is the unit. Where there is one task only, its trajectories are.
    """
    known, place = np.unique(task_ids, return_inverse=True)
    if len(known) in (1, len(task_ids)):
        return np.asarray(values)
    sums = np.zeros((len(known), values.shape[0], *values.shape[2:]))
    np.add.at(sums, place, np.moveaxis(np.asarray(values, np.float64), 1, 0))
    counts = np.bincount(place).reshape(-1, *[1] * (sums.ndim - 1))
    return np.moveaxis(sums / counts, 0, 1)


def resampled_means(
    values: Float[np.ndarray, "seeds tasks *rest"],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Float[np.ndarray, "resamples *rest"]:
    """Bootstrap means, for functions of means that are no means: ratios and maxima.

    Seeds and tasks are resampled independently, since they are crossed (Owen 2007, "The
    pigeonhole bootstrap").

    Note: resampling n units understates their variance by (n - 1) / n, which matters
    for three seeds; a mean has `interval` instead.

    Args:
        values: one array for each seed and task.
        resamples: bootstrap resamples.
        seed: of the resampling; the same draws the same seeds and tasks.
    """
    values = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    seed_weights, task_weights = (
        random.multinomial(count, np.full(count, 1 / count), size=resamples) / count
        for count in values.shape[:2]
    )
    flat = values.reshape(*values.shape[:2], -1)
    means = np.zeros((resamples, flat.shape[-1]))
    for row, weight in zip(flat, seed_weights.T, strict=True):
        means += weight[:, None] * (task_weights @ row)
    return means.reshape(resamples, *values.shape[2:])
