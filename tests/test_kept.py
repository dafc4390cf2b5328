"""A run that is stopped while it plays goes on behind the panels that it has played."""

import contextlib
import dataclasses

import numpy as np
import pytest
import toy_experiment

from icrl import results, runs
from icrl.evaluation import Scores
from icrl.panels import Curves
from icrl.runs import kept, provenance

TOY = dataclasses.replace(toy_experiment.EXPERIMENT, figure=None)
PANELS = [Curves(name="online"), Curves(name="other")]


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """What describes this machine and this source; a test may change it."""
    described = dict.fromkeys(provenance.DECISIVE, "1") | {"git_commit": "abc"}
    monkeypatch.setattr(provenance, "describe", lambda: dict(described))
    return described


def scores(seed):
    table = np.random.default_rng(seed).normal(size=(2, 40, 6))
    return Scores({"dpt": table}, frozenset({"dpt"}), np.arange(40), f"hash {seed}")


def go(root, *, stop=False, seeds=(0, 1)):
    """Opens the run and plays its panels; returns its folder and what it played."""
    played = []

    def play(panel):
        if stop and panel == "other":
            raise KeyboardInterrupt
        played.append(panel)
        return scores(len(panel))

    config = dataclasses.replace(TOY.presets["smoke"], seeds=seeds)
    waiting = {"online": lambda: play("online"), "other": lambda: play("other")}
    run = runs.open_run(TOY, "smoke", config, root)
    with pytest.raises(KeyboardInterrupt) if stop else contextlib.nullcontext(), run:
        results.finish(run, PANELS, waiting)
    return run.folder, played


def numbers(folder):
    summary = (folder / "summary.json").read_text().split('"wall_seconds"')
    rows = summary[0] + summary[1].partition("\n")[2]
    return rows, [(folder / name).read_bytes() for name in ("figure.npz", "scores.npz")]


def test_a_panel_that_was_played_is_taken_again_to_the_last_bit(tmp_path):
    whole, played = go(tmp_path / "whole")
    assert played == ["online", "other"]
    folder, played = go(tmp_path / "stopped", stop=True)
    assert played == ["online"] and not (folder / "DONE").exists()
    _, played = go(tmp_path / "stopped")
    assert played == ["other"]
    assert numbers(folder) == numbers(whole)
    assert not (folder / kept.FOLDER).exists()


@pytest.mark.parametrize("name", ["git_commit", "jax", "device_count"])
def test_a_panel_of_another_commit_or_machine_is_played_again(tmp_path, here, name):
    go(tmp_path, stop=True)
    here[name] = "another"
    assert go(tmp_path)[1] == ["online", "other"]


def test_a_panel_of_a_tree_with_changes_is_played_again(tmp_path, here):
    here["git_commit"] = "abc+"
    go(tmp_path, stop=True)
    assert go(tmp_path)[1] == ["online", "other"]


def test_a_panel_of_fewer_seeds_is_played_again(tmp_path):
    go(tmp_path, stop=True)
    assert go(tmp_path, seeds=(0, 1, 2))[1] == ["online", "other"]


@pytest.mark.parametrize("name", ["summary.json", "figure.npz", "scores.npz"])
def test_a_panel_of_which_a_part_is_lost_is_played_again(tmp_path, name):
    folder, _ = go(tmp_path, stop=True)
    (folder / kept.FOLDER / "online" / name).write_bytes(b"half")
    assert go(tmp_path)[1] == ["online", "other"]
