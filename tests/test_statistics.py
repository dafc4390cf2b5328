"""Intervals: the right unit, the right width."""

import numpy as np
import pytest

from icrl.evaluation.statistics import by_distinct_task, interval, proportion


def test_a_share_has_wilsons_interval():
    """The bounds are where the score test of a share just rejects, by root finding."""
    for count, number in ((0, 10), (4, 25), (25, 25)):
        share, low, high = proportion(count, number)
        assert share == count / number
        for end in [x for x in (low, high) if 1e-9 < x < 1 - 1e-9]:
            score = (share - end) / np.sqrt(end * (1 - end) / number)
            assert abs(abs(score) - 1.959964) < 1e-5
    np.testing.assert_allclose(proportion(4, 25), [0.16, 0.0640, 0.3465], atol=5e-5)
    assert abs(proportion(0, 10).low) < 1e-12
    assert abs(proportion(0, 10).high - 0.2775) < 5e-5
    assert abs(proportion(25, 25).high - 1) < 1e-12


def test_one_row_gives_the_interval_over_tasks():
    values = np.random.default_rng(0).normal(3.0, 2.0, (1, 4000))
    found = interval(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(4000)
    assert np.isclose(found.mean, values.mean())
    assert abs((found.high - found.low) / 2 - half) < 0.1 * half


def test_the_training_seed_is_the_unit():
    """Seeds that differ by 1 with 10,000 tasks each: the tasks must not hide it."""
    random = np.random.default_rng(1)
    values = random.normal(0, 1, (5, 1)) + random.normal(0, 1, (5, 10_000))
    found = interval(values)
    of_seeds = values.mean(1).std(ddof=1) / np.sqrt(5)
    assert np.isclose((found.high - found.low) / 2, 2.776 * of_seeds, rtol=1e-2)


def table_of(random, seeds, tasks, repeats, of_seed, of_task, of_rest):
    """Tables [seeds, tasks, repeats] of crossed random effects with mean 0."""
    return (
        of_seed * random.normal(size=(seeds, 1, repeats))
        + of_task * random.normal(size=(1, tasks, repeats))
        + of_rest * random.normal(size=(seeds, tasks, repeats))
    )


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
@pytest.mark.parametrize(
    ("effects", "least", "most"),
    [
        ((1.0, 0.3, 0.5), 0.93, 0.98),  # seeds dominate
        ((0.02, 1.0, 0.5), 0.93, 0.98),  # tasks dominate
        ((0.0, 0.0, 1.0), 0.93, 0.99),  # neither
    ],
)
def test_intervals_cover_the_mean_over_new_seeds_and_tasks(seeds, effects, least, most):
    table = table_of(np.random.default_rng(2), seeds, 100, 8000, *effects)
    found = interval(table)
    covered = np.mean((found.low <= 0) & (found.high >= 0))
    error = np.sqrt(0.05 * 0.95 / 8000)
    assert least - 2 * error < covered < most + 2 * error


def test_one_seed_gives_the_interval_given_this_seed():
    table = table_of(np.random.default_rng(3), 1, 50, 8000, 0.0, 1.0, 0.0)
    found = interval(table)
    assert 0.94 < np.mean((found.low <= 0) & (found.high >= 0)) < 0.96


def test_the_distinct_task_is_the_unit():
    """20 goals, each met 20 times: 400 trajectories are no 400 tasks."""
    random = np.random.default_rng(4)
    goals = random.normal(size=(1, 20, 4000))
    met = np.tile(goals, (1, 20, 1)) + 0.1 * random.normal(size=(1, 400, 4000))
    ids = np.arange(400) % 20
    right, naive = interval(by_distinct_task(met, ids)), interval(met)
    covers = [np.mean((i.low <= 0) & (i.high >= 0)) for i in (right, naive)]
    assert 0.94 < covers[0] < 0.96 and covers[1] < 0.5


def test_trajectories_are_the_units_in_a_single_task():
    values = np.random.default_rng(5).normal(size=(2, 30))
    assert by_distinct_task(values, np.zeros(30, int)).shape == (2, 30)


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
