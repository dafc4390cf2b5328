"""Who holds a run's folder, which seeds it has, and what stays of a run that failed."""

import dataclasses
import errno
import json
import shutil
import stat

import numpy as np
import pytest
import toy_experiment

from icrl import cli, runs
from icrl.config import ExperimentConfig
from icrl.errors import RunError
from icrl.experiment import EXPERIMENTS
from icrl.runs import files, provenance, saved

TOY = toy_experiment.EXPERIMENT


@pytest.fixture(autouse=True)
def same_machine(monkeypatch):
    """Describes a machine without starting jax's devices."""
    here = dict.fromkeys(provenance.DECISIVE, "1")
    monkeypatch.setattr(provenance, "describe", lambda: dict(here))


def open_toy(root, **changes):
    config = dataclasses.replace(TOY.presets["smoke"], **changes)
    return runs.open_run(TOY, "smoke", config, root)


def finish(run):
    numbers = dict.fromkeys(("mean", "low", "high"), 1.0)
    names = {"panel": "online", "agent": "dpt", "metric": "final_regret"}
    row = saved.row(**names, **numbers, seeds=1, tasks=8)
    run.finish([row], {"curve": np.arange(3.0)})


def refuse(root, **changes):
    """A run that breaks off at once."""
    with pytest.raises(RunError, match="no"), open_toy(root, **changes) as run:
        raise RunError("no")
    return run


def everything(folder):
    return {p: p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.mark.parametrize("seed", [-1, 2**32, 10**20])
def test_a_seed_that_jax_does_not_take_as_it_is_is_refused(seed):
    rule = rf"must lie in \[0, 4294967296\), got {seed}"
    with pytest.raises(ValueError, match=f"seeds {rule}"):
        ExperimentConfig(seeds=(0, seed))
    with pytest.raises(ValueError, match=f"root_seed {rule}"):
        ExperimentConfig(root_seed=seed)
    ExperimentConfig(seeds=(2**32 - 1,), root_seed=2**32 - 1)


def test_nothing_is_left_of_a_run_that_was_refused(tmp_path):
    refuse(tmp_path / "not" / "there" / "yet")
    assert not list(tmp_path.iterdir())
    (tmp_path / "results").mkdir()
    refuse(tmp_path / "results")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_seeds_that_were_added_and_refused_leave_the_folder_as_it_was(tmp_path):
    with open_toy(tmp_path) as run:
        finish(run)
    (run.folder / ".lock").write_text("")
    before = everything(tmp_path)
    more = refuse(tmp_path, seeds=(0, 7))
    assert more.groups == ((0,), (7,))
    (run.folder / ".lock").write_text("")
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "path",
    ["checkpoints/20/x", "weights/seed_0.safetensors", "metrics.jsonl"],
)
def test_what_was_trained_stays(tmp_path, path):
    with pytest.raises(RunError, match="full"), open_toy(tmp_path) as run:
        kept = run.folder / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("{}")
        raise RunError("the disk is full")
    assert kept.exists() and (run.folder / "config.json").exists()


def test_a_seed_group_of_which_nothing_is_trained_is_withdrawn(tmp_path):
    with open_toy(tmp_path) as run:
        finish(run)
    with open_toy(tmp_path, seeds=(0, 7)) as killed:  # says nothing as it ends
        assert killed.groups == ((0,), (7,))
    with open_toy(tmp_path, seeds=(0, 5, 6)) as other:
        assert other.groups == ((0,), (5, 6))
        (other.folder / "checkpoints_seeds_5-6" / "20").mkdir(parents=True)
    with open_toy(tmp_path, seeds=(7,)) as again:
        assert again.groups == ((0,), (5, 6), (7,))
    content = json.loads((run.folder / "config.json").read_text())
    assert content["config"]["seeds"] == [0, 5, 6, 7]


def test_a_finished_run_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    with open_toy(tmp_path / "results") as run:
        finish(run)
    before = everything(tmp_path)

    def read_only(*arguments):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files, "lock", read_only)
    monkeypatch.setattr(files, "write_atomic", read_only)
    monkeypatch.setattr(files, "remove_leftovers", read_only)
    with open_toy(tmp_path / "results") as again:
        assert again.done
    monkeypatch.setenv("ICRL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(EXPERIMENTS._entries, TOY.name, TOY)
    cli.main(["run", TOY.name, "smoke"])
    assert everything(tmp_path) == before


def failing_flock(monkeypatch, number):
    def flock(*arguments):
        raise OSError(number, "says the file system")

    monkeypatch.setattr(files.fcntl, "flock", flock)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_a_run_starts_with_a_warning(
    tmp_path, monkeypatch, capsys, number
):
    failing_flock(monkeypatch, number)
    open_toy(tmp_path).close()
    said = capsys.readouterr().err
    assert "cannot be locked (says the file system)" in said and said.count("\n") == 1


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EWOULDBLOCK])
def test_a_folder_that_another_process_holds_is_left_alone(
    tmp_path, monkeypatch, number
):
    with open_toy(tmp_path) as run:
        finish(run)
    before = everything(tmp_path)
    failing_flock(monkeypatch, number)
    with pytest.raises(RunError, match="is in use by process"):
        open_toy(tmp_path, seeds=(1,))
    assert everything(tmp_path) == before


def test_a_folder_that_goes_as_it_is_locked_is_one_line(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr(files.fcntl, "flock", lambda *_: shutil.rmtree(run))
    with pytest.raises(RunError, match="was removed by another process"):
        files.lock(run)


def test_a_folder_that_cannot_be_synced_is_written_all_the_same(tmp_path, monkeypatch):
    sync = files.os.fsync

    def of_files_alone(descriptor):
        if stat.S_ISDIR(files.os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", of_files_alone)
    files.write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
