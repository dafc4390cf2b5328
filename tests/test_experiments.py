"""Every experiment runs end to end in its smoke preset, and its figure redraws."""

import json
import pkgutil
import re

import jax
import numpy as np
import pytest

import experiments
from icrl import cli
from icrl.experiment import EXPERIMENTS
from icrl.runs import saved

# Those in the folder; other tests register experiments of their own.
UNTRAINED = (
    "rl2_mdp_baselines",
    "theory_agents",
    "theory_depth",
    "theory_probe",
    "theory_repairs",
)
NAMES = sorted(m.name for m in pkgutil.iter_modules(experiments.__path__))


@pytest.mark.parametrize("name", NAMES)
def test_a_smoke_run_leaves_what_the_contract_says(name, tmp_path, monkeypatch, capsys):
    """One run, many claims: each is the price of compiling a whole experiment."""
    monkeypatch.setenv("ICRL_RESULTS", str(tmp_path))
    cli.main(["run", name, "smoke"])
    (folder,) = (tmp_path / name).glob("smoke-*")
    _check_summary(name, folder)

    drawn = {p.name: p.read_bytes() for p in folder.glob("*.p[nd][gf]")}
    assert len(drawn) == 2
    if name == "quickstart":  # from saved numbers, as every run draws: the same bytes
        saved.draw(EXPERIMENTS[name], folder)
        assert {p.name: p.read_bytes() for p in folder.glob("*.p[nd][gf]")} == drawn

    capsys.readouterr()
    written = (folder / "summary.json").stat().st_mtime_ns
    cli.main(["run", name, "smoke"])  # a finished run is left alone
    assert (folder / "summary.json").stat().st_mtime_ns == written
    assert "summary.json" in capsys.readouterr().out
    jax.clear_caches()  # nothing of it serves the next one


def _check_summary(name, folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["experiment"] == name and summary["preset"] == "smoke"
    assert summary["wall_seconds"] > 0
    assert (summary["train_tokens"] > 0) == (name not in UNTRAINED)
    trained = summary["train_tokens"] > 0
    assert trained == bool(summary["labels"]) and all(summary["labels"].values())
    assert (folder / "DONE").exists() and (folder / "config.json").exists()
    for row in summary["rows"]:
        assert row.keys() >= saved.REQUIRED
        assert np.isfinite([row["mean"], row["low"], row["high"]]).all(), row
        assert row["low"] <= row["mean"] <= row["high"], row
        assert 0 <= row["tasks"] <= row["trajectories"], row
    names = {(r["panel"], r["agent"], r["metric"]) for r in summary["rows"]}
    assert len(names) == len(summary["rows"])
    scores = saved.read_arrays(folder, "scores")
    for row in summary["rows"]:  # of means; others are estimated from several
        values = scores.get(f"{row['panel']}/{row['agent']}/{row['metric']}")
        if values is not None:
            assert np.isclose(values.mean(), row["mean"], rtol=1e-4, atol=1e-5), row
            assert values.shape[0] == max(row["seeds"], 1), row


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_question_source_command_cost_and_result(name):
    experiment_module = __import__(f"experiments.{name}", fromlist=["_"])
    header = experiment_module.__doc__
    assert re.match(r"[^\n]+\?\n", header), "the first line is the question"
    for word in ("Source:", "Command:", "Cost:", "Expect"):
        assert word in header, word
    for blank in ("COST", "EXPECT", "TODO"):
        assert blank not in header + str(experiment_module.EXPERIMENT.costs), blank


def test_names_that_others_rely_on_stand_in_the_quickstart():
    from experiments.quickstart import EXPERIMENT

    assert set(EXPERIMENT.presets) == {"smoke", "cpu", "published"}


@pytest.mark.parametrize("name", ["dpt_bandit", "dpt_linear_bandit", "dpt_expert_bias"])
def test_a_paper_preset_has_the_papers_sizes(name):
    paper = EXPERIMENTS[name].presets["paper"]
    assert paper.horizon == (200 if name == "dpt_linear_bandit" else 500)
    assert (paper.model.num_layers, paper.model.width, paper.model.num_heads) == (
        4,
        32,
        4,
    )
    assert paper.training.batch_size == 64
