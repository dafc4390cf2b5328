"""Intervals: the right unit, the right width."""

import numpy as np

from icrl.evaluation.statistics import interval, standard_error


def test_one_row_gives_the_interval_over_tasks():
    values = np.random.default_rng(0).normal(3.0, 2.0, (1, 4000))
    found = interval(values)
    half = 1.96 * standard_error(values[0])
    assert np.isclose(found.mean, values.mean())
    assert abs((found.high - found.low) / 2 - half) < 0.1 * half


def test_the_training_seed_is_the_unit():
    """Seeds that differ by 1 with 10,000 tasks each: the tasks must not hide it."""
    random = np.random.default_rng(1)
    values = random.normal(0, 1, (5, 1)) + random.normal(0, 1, (5, 10_000))
    found = interval(values)
    of_seeds = values.mean(1).std(ddof=1) / np.sqrt(5)
    assert 0.7 * 1.96 * of_seeds < (found.high - found.low) / 2 < 1.3 * 1.96 * of_seeds


def test_intervals_cover_at_about_their_level():
    """Of 300 crossed tables of 8 seeds x 40 tasks, about 95 % hold the true mean."""
    random = np.random.default_rng(2)
    hits = 0
    for number in range(300):
        table = (
            random.normal(0, 1, (8, 1))
            + random.normal(0, 2, (1, 40))
            + random.normal(0, 3, (8, 40))
        )
        found = interval(table, resamples=400, seed=number)
        hits += found.low <= 0 <= found.high
    assert 0.89 < hits / 300 <= 1.0


def test_paired_differences_are_narrower_than_two_intervals():
    random = np.random.default_rng(3)
    task = random.normal(0, 5, (1, 2000))
    one, two = task + random.normal(0, 0.1, (1, 2000)), task + 0.05
    paired, alone = interval(one - two), interval(one)
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)


def test_a_curve_is_handled_point_by_point():
    values = np.random.default_rng(4).normal(size=(3, 50, 7))
    curve = interval(values)
    assert curve.mean.shape == curve.low.shape == curve.high.shape == (7,)
    point = interval(values[..., 2])
    assert np.allclose([curve.low[2], curve.high[2]], [point.low, point.high])
