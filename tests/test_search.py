"""What a random search says of its settings: numbers by hand."""

import numpy as np
import pytest

from icrl import gtrxl, study
from icrl.evaluation import Scores

SEEDS = (3, 5, 7)
PULLS, TASKS = 10, 8


def trained_in(*seeds):
    return study.Trained(models=None, seeds=seeds, recipe=None)


@pytest.fixture
def rows(monkeypatch):
    """The mean of (agent, metric), of three variants; no setting is trained."""
    wave = np.where(np.arange(TASKS) % 2, 0.5, -0.5)
    tables = {
        "uniform": 5.0 + wave[None],
        # the second setting plays no better than uniform play
        "first": np.array([6.0, 5.1, 6.6])[:, None] + wave,
        "second": np.array([6.5, 6.5])[:, None] + wave,  # of seeds 7 and 3 alone
    }
    scores = Scores(
        {name: table[..., None] for name, table in tables.items()},
        frozenset({"first", "second"}),
        np.arange(TASKS),
    )
    monkeypatch.setattr(study.Evaluation, "returns", lambda self, agents: scores)
    monkeypatch.setattr(study.Trained, "agent", lambda self: None)
    models = {
        "first": trained_in(*SEEDS),
        "second": trained_in(7, 3),
        "third": None,  # all settings met a NaN
    }
    config = gtrxl.SearchConfig(seeds=SEEDS, horizon=PULLS, num_tasks=TASKS)
    numbers = gtrxl.returns(config, "panel", models, SEEDS)
    return {(row["agent"], row["metric"]): row for row in numbers.rows}


def test_a_setting_that_met_a_nan_counts_as_uniform_play(rows):
    assert rows["first", "return"]["mean"] == pytest.approx((6.0 + 5.1 + 6.6) / 3)
    assert rows["second", "return"]["mean"] == pytest.approx((6.5 + 5.0 + 6.5) / 3)
    assert rows["third", "return"]["mean"] == 5.0


def test_settings_diverged_that_met_a_nan_or_play_no_better_than_uniform(rows):
    for name, diverged, not_finite in (
        ("first", 1, 0),
        ("second", 1, 1),
        ("third", 3, 3),
    ):
        row = rows[name, "diverged"]
        assert row["mean"] == pytest.approx(diverged / 3)
        assert (row["not_finite"], row["seeds"]) == (not_finite, 3)
        assert 0 <= row["low"] < row["high"] <= 1


def test_variants_are_compared_setting_by_setting(rows):
    assert ("first", "return_minus_first") not in rows
    gaps = np.array([6.5 - 6.0, 5.0 - 5.1, 6.5 - 6.6])
    row = rows["second", "return_minus_first"]
    assert row["mean"] == pytest.approx(gaps.mean())
    # bandits differ alike for both, but where there is no model: 1/3 of that is left
    assert row["low"] < gaps.mean() < row["high"]
