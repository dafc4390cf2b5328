"""What a run leaves on the disk, and what reads it again.

Over 300 lines: one test after another, each a file and what may happen to it.
"""

import dataclasses
import json
import multiprocessing
import pathlib
import subprocess
import zipfile

import numpy as np
import pytest
import toy_experiment

from icrl import runs
from icrl.errors import RunError
from icrl.runs import files, provenance, saved, serialization

TOY = toy_experiment.EXPERIMENT


@pytest.fixture(autouse=True)
def same_machine(monkeypatch):
    """Describes a machine without starting jax's devices."""
    here = dict.fromkeys(provenance.DECISIVE, "1")
    monkeypatch.setattr(provenance, "describe", lambda: dict(here))
    return here


def open_toy(root, preset="smoke", **changes):
    config = dataclasses.replace(TOY.presets[preset], **changes)
    return runs.open_run(TOY, preset, config, root)


def finish(run):
    rows = [
        saved.row(
            panel="online",
            agent="dpt",
            metric="final_regret",
            mean=2.0,
            low=1.0,
            high=float("inf"),
            seeds=1,
            tasks=8,
        )
    ]
    run.train_tokens = 7
    run.finish(rows, {"curve": np.arange(3.0)}, {"online/dpt/final_regret": [[2.0]]})


def test_a_finished_run_leaves_its_config_versions_numbers_and_figure(tmp_path):
    with open_toy(tmp_path) as run:
        assert not run.done
        finish(run)
    left = {path.name for path in run.folder.iterdir()} - {".lock"}
    assert left == {
        *("config.json", "env.json", "summary.json", "figure.npz", "scores.npz"),
        *("regret.png", "regret.pdf", "DONE"),
    }
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["rows"][0]["high"] is None  # JSON has no infinity
    assert summary["rows"][0]["published"] is None
    assert summary["train_tokens"] == 7
    assert run.folder.name == f"smoke-{summary['config_hash']}"


def test_a_finished_run_is_left_alone_and_opened_as_done(tmp_path):
    with open_toy(tmp_path) as run:
        finish(run)
    with open_toy(tmp_path) as again:
        assert again.done
        assert again.folder == run.folder


def test_seeds_added_to_a_finished_run_form_a_group_of_their_own(tmp_path):
    with open_toy(tmp_path, seeds=(0, 1)) as run:
        finish(run)
    with open_toy(tmp_path, seeds=(1, 2)) as more:
        assert not more.done
        assert more.groups == ((0, 1), (2,))
        assert more.config.seeds == (0, 1, 2)
        finish(more)
    with open_toy(tmp_path, seeds=(2,)) as again:
        assert again.done


def test_another_config_gets_another_folder_but_seeds_and_loggers_do_not(tmp_path):
    names = []
    for changes in ({}, {"seeds": (5,)}, {"log": ("wandb",)}, {"num_steps": 9}):
        with open_toy(tmp_path, **changes) as run:
            names.append(run.folder.name)
    assert names[0] == names[1] == names[2] != names[3]


def test_a_folder_with_another_config_is_refused_by_its_first_difference(tmp_path):
    with open_toy(tmp_path) as run:
        path = run.folder / "config.json"
    content = json.loads(path.read_text())
    content["config"]["model"]["width"] = 64
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"model\.width is 64 there and 4 here"):
        open_toy(tmp_path)


def test_an_unfinished_run_is_not_resumed_with_other_versions(tmp_path, same_machine):
    with open_toy(tmp_path) as run:
        (run.folder / "checkpoints" / "20").mkdir(parents=True)
    same_machine["jax"] = "2"
    with pytest.raises(RunError, match=r"jax 1 \(here 2\)"):
        open_toy(tmp_path)
    (run.folder / "checkpoints" / "20").rmdir()
    open_toy(tmp_path).close()  # nothing to resume, so nothing to refuse
    assert json.loads((run.folder / "env.json").read_text())["jax"] == "2"


def _try_to_open(root, said):
    try:
        open_toy(root)
    except RunError as error:
        said.put(str(error))


def test_two_processes_cannot_write_to_one_folder(tmp_path, same_machine):
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    with open_toy(tmp_path):
        other = context.Process(target=_try_to_open, args=(tmp_path, said))
        other.start()
        assert "is in use by process" in said.get(timeout=60)
        other.join()


def test_a_run_knows_the_commit_of_its_source():
    root = pathlib.Path(__file__).parent.parent
    if not (root / ".git").exists():
        pytest.skip("the source is no git repository")
    words = ["git", "-C", str(root), "rev-parse", "HEAD"]
    commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert (provenance._git_commit() or "").removesuffix("+") == commit.strip()


def test_seconds_add_up_over_sessions(tmp_path):
    with open_toy(tmp_path) as run:
        files.write_json(run.folder / "clock.json", {"wall_seconds": 100.0})
    with open_toy(tmp_path) as run:
        assert 100.0 < run.wall_seconds < 200.0


def test_a_row_without_an_entry_is_refused(tmp_path):
    with open_toy(tmp_path) as run, pytest.raises(ValueError, match="low"):
        run.finish([{"panel": "online"}], {})
    assert not (run.folder / "DONE").exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    files.write_atomic(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*summary\.json"):
        files.write_atomic(path, b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_config_read_back_equals_the_one_written():
    config = dataclasses.replace(
        TOY.presets["cpu"], seeds=(3, 4), model=toy_experiment.Model(width=6, heads=3)
    )
    text = json.dumps(serialization.encode(config))
    assert serialization.decode(toy_experiment.Config, json.loads(text)) == config


def test_a_union_of_configs_is_read_back_by_its_type():
    kind = toy_experiment.Config | toy_experiment.Model
    data = {"type": "Model", "width": 8, "heads": 2}
    assert serialization.decode(kind, data) == toy_experiment.Model(width=8)
    with pytest.raises(ValueError, match="Nonsense"):
        serialization.decode(kind, {"type": "Nonsense"})


def test_a_number_written_as_1_or_as_1_point_0_is_the_same_config():
    whole = dataclasses.replace(TOY.presets["cpu"], pause=1)
    decimal = dataclasses.replace(TOY.presets["cpu"], pause=1.0)
    assert serialization.config_hash(whole) == serialization.config_hash(decimal)


def test_the_newest_finished_run_is_found_else_the_reference(tmp_path):
    reference = tmp_path / TOY.name / "reference-cpu"
    files.write_json(reference / "summary.json", {"rows": []})
    assert saved.find(TOY.name, tmp_path) == reference
    with open_toy(tmp_path) as run:
        finish(run)
    assert saved.find(TOY.name, tmp_path) == run.folder
    assert saved.find(str(reference), tmp_path) == reference
    with pytest.raises(RunError, match="no folder or experiment 'nothing'"):
        saved.find("nothing", tmp_path)


def test_a_broken_file_of_numbers_is_named(tmp_path):
    (tmp_path / "figure.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(RunError, match=r"figure\.npz cannot be read"):
        saved.read_arrays(tmp_path)
    (tmp_path / "summary.json").write_text('{"rows": [')
    with pytest.raises(RunError, match=r"summary\.json cannot be read"):
        saved.read_summary(tmp_path)


KINDS = [
    ("config.json", "[]", "it must be an object, got []"),
    ("config.json", '{"experiment": "toy"}', "preset is missing"),
    (
        "config.json",
        '{"experiment": "toy", "preset": "smoke", "seed_groups": [["0"]]}',
        "seed_groups[0][0] must be a whole number, got '0'",
    ),
    ("DONE", "3", "it must be an object, got 3"),
    ("DONE", '{"seeds": 0}', "seeds must be a list, got 0"),
    ("clock.json", '{"wall_seconds": "long"}', "wall_seconds must be a number"),
    ("env.json", '["jax"]', "it must be an object, got ['jax']"),
]


@pytest.mark.parametrize(("name", "text", "message"), KINDS)
def test_a_file_of_another_kind_is_named_and_nothing_starts(
    tmp_path, name, text, message
):
    with open_toy(tmp_path) as run:
        (run.folder / "checkpoints" / "20").mkdir(parents=True)
    path = run.folder / name
    path.write_text(text)
    with pytest.raises(RunError) as caught:
        open_toy(tmp_path)
    assert str(caught.value).startswith(f"{path} cannot be read: {message}")
    assert path.read_text() == text


ROW = dict.fromkeys(("panel", "agent", "metric"), "x") | dict.fromkeys(
    ("mean", "low", "high", "seeds", "tasks", "trajectories", "published", "exact"), 1
)


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        ([], "it must be an object, got []"),
        ({"experiment": "x"}, "rows is missing"),
        ({"experiment": 3, "rows": []}, "experiment must be a text, got 3"),
        ({"experiment": "x", "rows": [1]}, "rows[0] must be an object, got 1"),
        ({"experiment": "x", "rows": [{"panel": "x"}]}, "rows[0].agent is missing"),
        (
            {"experiment": "x", "rows": [ROW, ROW | {"mean": "1.0"}]},
            "rows[1].mean must be a number or null, got '1.0'",
        ),
        (
            {"experiment": "x", "rows": [ROW | {"low": True}]},
            "rows[0].low must be a number or null, got True",
        ),
    ],
)
def test_a_summary_of_another_kind_is_named(tmp_path, summary, message):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary))
    with pytest.raises(RunError) as caught:
        saved.read_summary(tmp_path)
    assert str(caught.value) == f"{path} cannot be read: {message}"


def test_a_config_of_another_kind_is_named(tmp_path):
    config = serialization.encode(TOY.presets["cpu"])
    for change, message in (
        ({"seeds": 3}, "a config has a list here, got 3"),
        ({"model": 3}, "a config has the fields of Model here, got 3"),
        ({"pause": "x"}, "a config has a number here, got 'x'"),
        ({"layout": "x"}, "Config has no field 'layout'"),
    ):
        content = {"experiment": TOY.name, "config": config | change}
        files.write_json(tmp_path / "config.json", content)
        with pytest.raises(RunError) as caught:
            saved.read_config(tmp_path)
        said = str(caught.value)
        assert said.startswith(f"{tmp_path / 'config.json'} cannot be read: {message}")


def test_numbers_of_another_run_or_of_no_run_are_named(tmp_path, monkeypatch):
    path = tmp_path / "figure.npz"
    np.save(tmp_path / "one.npy", np.arange(3))
    (tmp_path / "one.npy").rename(path)
    with pytest.raises(RunError, match=r"figure\.npz cannot be read"):
        saved.read_arrays(tmp_path)
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("notes.txt", "nothing")
    with pytest.raises(RunError, match=r"figure\.npz cannot be read \(notes.txt must"):
        saved.read_arrays(tmp_path)
    np.savez(path, odd=np.array([{}], dtype=object))
    with pytest.raises(RunError, match=r"figure\.npz cannot be read"):
        saved.read_arrays(tmp_path)
    np.savez_compressed(path, curve=np.zeros(1000))
    with pytest.raises(RunError, match=r"figure\.npz holds no array 'other'"):
        saved.read_arrays(tmp_path)["other"]
    monkeypatch.setattr(saved, "MOST_BYTES", 1000)
    with pytest.raises(RunError, match=r"it must hold at most 1000 bytes, got 8\d\d\d"):
        saved.read_arrays(tmp_path)


def test_a_figure_drawn_twice_has_the_same_bytes(tmp_path):
    with open_toy(tmp_path) as run:
        finish(run)
    first = [path.read_bytes() for path in saved.draw(TOY, run.folder)]
    second = [path.read_bytes() for path in saved.draw(TOY, run.folder)]
    assert first == second
    assert len(first) == 2
