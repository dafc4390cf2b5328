"""Every experiment runs end to end in its smoke preset, and its figure redraws."""

import json
import pkgutil
import re

import numpy as np
import pytest

import experiments
from icrl import cli
from icrl.experiment import EXPERIMENTS
from icrl.runs import saved

# Those in the folder; other tests register experiments of their own.
NAMES = sorted(m.name for m in pkgutil.iter_modules(experiments.__path__))


@pytest.fixture(scope="module", params=NAMES)
def finished(request, tmp_path_factory):
    """A finished smoke run of each experiment: its name and folder."""
    root = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICRL_RESULTS", str(root))
        cli.main(["run", request.param, "smoke"])
    (folder,) = (root / request.param).glob("smoke-*")
    return request.param, folder


def test_a_run_leaves_what_the_contract_says(finished):
    name, folder = finished
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["experiment"] == name and summary["preset"] == "smoke"
    assert summary["wall_seconds"] > 0 and summary["train_tokens"] >= 0
    assert (folder / "DONE").exists() and (folder / "config.json").exists()
    for row in summary["rows"]:
        assert row.keys() >= saved.REQUIRED
        assert np.isfinite([row["mean"], row["low"], row["high"]]).all(), row
        assert row["low"] <= row["mean"] <= row["high"], row
    names = {(r["panel"], r["agent"], r["metric"]) for r in summary["rows"]}
    assert len(names) == len(summary["rows"])


def test_the_figure_redraws_from_saved_numbers_byte_for_byte(finished):
    name, folder = finished
    drawn = EXPERIMENTS[name]
    before = {p.name: p.read_bytes() for p in folder.glob("*.p[nd][gf]")}
    assert len(before) == 2
    saved.draw(drawn, folder)
    assert {p.name: p.read_bytes() for p in folder.glob("*.p[nd][gf]")} == before


def test_a_finished_run_is_left_alone(finished, monkeypatch, capsys):
    name, folder = finished
    monkeypatch.setenv("ICRL_RESULTS", str(folder.parent.parent))
    before = (folder / "summary.json").stat().st_mtime_ns
    cli.main(["run", name, "smoke"])
    assert (folder / "summary.json").stat().st_mtime_ns == before
    assert "summary.json" in capsys.readouterr().out


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

    assert set(EXPERIMENT.presets) == {"smoke", "cpu"}


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
