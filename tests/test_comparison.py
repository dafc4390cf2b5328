"""Two runs side by side: paired differences, or the reason why there are none."""

import dataclasses
import json

import numpy as np
import pytest

from icrl import cli, results, runs, study
from icrl.config import SMOKE_TRAINING
from icrl.evaluation import Scores
from icrl.evaluation.comparison import compare
from icrl.evaluation.statistics import difference
from icrl.experiment import Experiment
from icrl.panels import Curves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Config):
    """Sizes."""

    training: object = SMOKE_TRAINING
    num_tasks: int = 300
    shift: float = 0.0


def write(root, config, name="one"):
    """A finished run whose scores share the tasks of their root seed."""
    experiment = Experiment(
        name=name,
        question="Does it?",
        presets={"cpu": config},
        costs={"cpu": "seconds"},
        run=lambda run, config: None,
    )
    random = np.random.default_rng(config.root_seed)
    hard = random.normal(size=(1, config.num_tasks, 1))
    noise = np.random.default_rng(1 + int(10 * config.shift))
    rest = 0.1 * noise.normal(size=(2, config.num_tasks, 1))
    table = Scores(
        {"dpt": 5 * hard + rest + config.shift},
        frozenset({"dpt"}),
        np.arange(config.num_tasks),
        f"{config.root_seed} {config.num_tasks}",
    )
    with runs.open_run(experiment, "cpu", config, root=root) as opened:
        results.finish(opened, [Curves(name="online")], {"online": table})
        return opened.folder


def test_runs_on_the_same_tasks_differ_by_far_less_than_their_intervals(tmp_path):
    low, high = (write(tmp_path, Config(shift=shift)) for shift in (0.0, 0.5))
    (row,), reasons = compare(high, low)
    assert not reasons
    assert row["metric"] == "final_regret_difference" and row["agent"] == "dpt"
    assert np.isclose(row["mean"], 0.5, atol=0.02)
    assert 0.4 < row["low"] < row["high"] < 0.6
    alone = json.loads((high / "summary.json").read_text())["rows"][0]
    assert alone["high"] - alone["low"] > 1


def test_the_command_prints_them(tmp_path, capsys):
    low, high = (write(tmp_path, Config(shift=shift)) for shift in (0.0, 0.5))
    cli.main(["compare", str(low), str(high)])
    said = capsys.readouterr().out
    assert "final_regret_difference" in said and "less" in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"root_seed": 1}, "root_seed 0 and 1"), ({"num_tasks": 20}, "num_tasks 300 and")],
)
def test_other_tasks_are_not_compared_and_the_reason_is_said(tmp_path, change, reason):
    one = write(tmp_path, Config())
    other = write(tmp_path, dataclasses.replace(Config(), **change))
    rows, (said,) = compare(one, other)
    assert not rows
    assert "online: other tasks or noise" in said and reason in said


def test_a_reference_of_means_alone_says_so(tmp_path):
    one, other = write(tmp_path, Config()), write(tmp_path, Config(shift=0.5))
    (other / "scores.npz").unlink()
    rows, (said,) = compare(one, other)
    assert not rows and "holds means and bounds alone" in said


def test_the_interval_of_a_difference_covers():
    """Runs of 3 and 2 seeds in the same 40 tasks; the seeds of each differ."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        task = random.normal(0, 5, (1, 40))
        one, other = (
            task
            + random.normal(0, 0.5, (1, 40))
            + random.normal(0, 1, (seeds, 1))
            + random.normal(0, 1, (seeds, 40))
            for seeds in (3, 2)
        )
        found = difference(one, other)
        hits += found.low <= 0 <= found.high
    assert 0.93 < hits / 2000 < 0.985
