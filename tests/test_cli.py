"""The command line, as a user and as a script meets it.

Over 300 lines: one test after another, each a command and what it leaves.
"""

import dataclasses
import io
import os
import pathlib
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import toy_experiment

import experiments
from icrl import cli, runs
from icrl.experiment import EXPERIMENTS
from icrl.runs.metrics import read_metrics
from icrl.runs.weights import load_weights

TESTS = pathlib.Path(__file__).parent
TOY = toy_experiment.EXPERIMENT.name
HUGE = "99999999999999999999"
NONE = ("--family", "GaussianBandit-DPT-v0", "--num-tasks", "0")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Results in a folder of the test's own, and the toy among the experiments."""
    only_toy = tmp_path / "experiments"  # no other
    only_toy.mkdir()
    monkeypatch.setattr(experiments, "__path__", [str(only_toy)])
    monkeypatch.setattr(EXPERIMENTS, "_entries", {TOY: toy_experiment.EXPERIMENT})
    monkeypatch.setenv("ICRL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "no" / "cache"))
    monkeypatch.setattr("icrl.runs.runtime.enable_compilation_cache", lambda: None)
    yield tmp_path / "results"


def script(folder, *words, **options):
    """The toy experiment as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    return subprocess.Popen(
        [sys.executable, str(TESTS / f"{TOY}.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def run_folder(folder):
    (found,) = (folder / TOY).iterdir()
    return found


def test_a_run_prints_its_table_and_run_again_does_nothing_more(folder, capsys):
    cli.main(["run", TOY, "smoke"])
    first = capsys.readouterr()
    assert "final_regret" in first.out
    assert "step 3" in first.out
    assert (run_folder(folder) / "DONE").exists()
    cli.main(["run", TOY, "smoke"])
    again = capsys.readouterr()
    assert "step" not in again.out
    assert "final_regret" in again.out


def test_a_flag_changes_the_preset_it_names(folder, capsys):
    cli.main(["run", TOY, "smoke", "--num-steps", "1", "--model.width", "8"])
    assert "step 1" in capsys.readouterr().out
    config = runs.files.read_json(run_folder(folder) / "config.json")["config"]
    assert (config["num_steps"], config["model"]["width"]) == (1, 8)


def test_the_default_preset_is_cpu(folder):
    cli.main(["run", TOY, "--num-steps", "1"])
    assert run_folder(folder).name.startswith("cpu-")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runn"], "no command 'runn'; did you mean run?"),
        (["run", "toy_experimnt"], "did you mean toy_experiment?"),
        (["run", "quantum"], "no experiment 'quantum'; there are: toy_experiment"),
        (["run"], "icrl run needs a name; experiments: toy_experiment"),
        (
            ["run", TOY, "smok"],
            "no preset of toy_experiment 'smok'; did you mean smoke",
        ),
        (
            ["run", TOY, "--num-stepss", "3"],
            "--num-stepss, 3; did you mean --num-steps",
        ),
        (["run", TOY, "--num-steps", "x"], "--num-steps: invalid literal for int"),
        (["run", TOY, "--num-steps"], "Missing value for argument '--num-steps'"),
        (["run", TOY, "--model.width", "5"], "heads must divide width, got 2, 5"),
        (["run", TOY, "--seeds", "1", "1"], "seeds must be given, each once"),
        (["run", TOY, "--log", "paper"], "invalid choice 'paper' for argument '--log'"),
        (["figure", TOY], f"{TOY} has no finished run in"),
        (["figure", TOY, "--run", "nowhere"], "no folder or experiment 'nowhere'"),
        (["figure"], "Missing from icrl figure: NAME"),
        (["compare"], "icrl compare needs at least one run"),
        (["list", "more"], "Unrecognized options: more"),
        (["run", TOY, "--seeds", "0", HUGE], "seeds must lie in [0, 4294967296), got"),
        (["run", TOY, "--root-seed", HUGE], "root_seed must lie in [0, 4294967296)"),
        (["run", TOY, "--num-steps", "0"], "num_steps must be at least 1, got 0"),
        (["evaluate", TOY, *NONE], "num_tasks must be at least 1, got 0"),
        (["diagnose", TOY, *NONE[2:]], "num_tasks must be at least 1, got 0"),
        (
            ["freeze", *NONE[:2], "--out", "x", "--num-examples", "0"],
            "num_examples must be at least 1, got 0",
        ),
    ],
)
def test_bad_input_is_one_line_that_names_it_and_exit_code_2(
    words, message, capsys, folder
):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in said
    assert said.count("\n") == 1, said
    assert not folder.exists()


def broken_toy(monkeypatch, error):
    def raises(run, config):
        raise error

    broken = dataclasses.replace(toy_experiment.EXPERIMENT, run=raises)
    monkeypatch.setitem(EXPERIMENTS._entries, TOY, broken)


def test_a_full_disk_is_one_line(monkeypatch, capsys):
    broken_toy(monkeypatch, OSError(28, "No space left on device", "figure.npz"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", TOY])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: No space left on device: figure.npz\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 8 TB"), "lower --training"),
        (MemoryError("Unable to allocate 8 TiB"), "lower --training.micro-batch"),
        (RuntimeError("Unable to initialize backend 'foo': no"), "JAX_PLATFORMS must"),
    ],
)
def test_what_the_machine_lacks_is_one_line_and_leaves_nothing(
    monkeypatch, capsys, error, message, folder
):
    broken_toy(monkeypatch, error)
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", TOY])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in said and str(error) in said and said.count("\n") == 1
    assert not folder.exists()


def test_a_batch_that_exhausts_memory_is_one_line(monkeypatch, capsys):
    def run(run, config):
        jax.numpy.zeros((10**6, 10**9)).block_until_ready()

    broken = dataclasses.replace(toy_experiment.EXPERIMENT, run=run)
    monkeypatch.setitem(EXPERIMENTS._entries, TOY, broken)
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", TOY])
    assert stop.value.code == 2
    assert "out of memory: lower --training" in capsys.readouterr().err


def test_devices_that_are_not_here_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "foo")
    with script(tmp_path, "smoke") as process:
        _, said = process.communicate()
    assert process.returncode == 2
    assert "JAX_PLATFORMS must name devices that are here, got 'foo'" in said
    assert said.count("\n") == 1 and not (tmp_path / "results").exists()


def test_another_runtime_error_is_a_bug(monkeypatch):
    broken_toy(monkeypatch, RuntimeError("a shape does not fit"))
    with pytest.raises(RuntimeError, match="shape"):
        cli.main(["run", TOY])


def test_the_version_is_told(capsys):
    cli.main(["--version"])
    assert re.fullmatch(r"icrl \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["", " "])
def test_a_folder_of_results_without_a_name_is_refused(name, monkeypatch, capsys):
    monkeypatch.setenv("ICRL_RESULTS", name)
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", TOY])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said == f"error: ICRL_RESULTS must name a folder, got {name!r}\n"


def test_what_a_terminal_cannot_write_is_replaced(monkeypatch):
    question = "Is σ² known?"
    odd = dataclasses.replace(toy_experiment.EXPERIMENT, question=question)
    monkeypatch.setitem(EXPERIMENTS._entries, TOY, odd)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    cli.main(["list"])
    sys.stdout.flush()
    assert b"Is ?? known?" in written.getvalue()


def test_bad_input_shows_its_traceback_on_request(monkeypatch):
    broken_toy(monkeypatch, ValueError("width must be positive, got 0"))
    with pytest.raises(ValueError, match="width"):
        cli.main(["run", TOY, "--debug"])
    monkeypatch.setenv("ICRL_DEBUG", "1")
    with pytest.raises(ValueError, match="width"):
        cli.main(["run", TOY])


def test_a_bug_shows_its_traceback(monkeypatch):
    broken_toy(monkeypatch, KeyError("width"))
    with pytest.raises(KeyError):
        cli.main(["run", TOY])


def test_an_error_inside_a_library_is_a_bug(monkeypatch):
    broken = dataclasses.replace(
        toy_experiment.EXPERIMENT, run=lambda run, config: np.stack([])
    )
    monkeypatch.setitem(EXPERIMENTS._entries, TOY, broken)
    with pytest.raises(ValueError, match="at least one array"):
        cli.main(["run", TOY])


def test_help_shows_presets_costs_and_flags(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", TOY, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for word in ("smoke", "2 s (default)", "--model.width", "--seeds"):
        assert word in said


def test_list_names_question_presets_and_costs(capsys):
    cli.main(["list"])
    said = capsys.readouterr().out
    assert "toy_experiment: Does a run leave what it should?" in said
    assert re.search(r"smoke +1 s", said)


def test_a_figure_is_redrawn_from_the_numbers_and_says_which(folder, capsys):
    cli.main(["run", TOY, "smoke"])
    png = run_folder(folder) / "regret.png"
    before = png.read_bytes()
    png.unlink()
    capsys.readouterr()
    cli.main(["figure", TOY])
    assert str(png) in capsys.readouterr().out
    assert png.read_bytes() == before


def test_a_figure_of_another_experiments_run_is_refused(folder, capsys, monkeypatch):
    other = dataclasses.replace(toy_experiment.EXPERIMENT, name="other")
    monkeypatch.setattr(
        EXPERIMENTS, "_entries", {TOY: toy_experiment.EXPERIMENT, "other": other}
    )
    cli.main(["run", TOY, "smoke"])
    run = run_folder(folder)
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(["figure", "other", "--run", str(run)])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"holds a run of {TOY}, not of other" in said and said.count("\n") == 1
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before


def test_compare_sets_runs_side_by_side(folder, capsys):
    cli.main(["run", TOY, "smoke"])
    cli.main(["run", TOY, "smoke", "--num-steps", "1"])
    folders = sorted(map(str, (folder / TOY).iterdir()))
    capsys.readouterr()
    cli.main(["compare", *folders])
    header, _, line, _, pair, reason = capsys.readouterr().out.splitlines()
    assert header.split()[3:] == [f"{TOY}/{pathlib.Path(f).name}" for f in folders]
    assert line.split() == ["online", "dpt", "final_regret", "1.250", "1.250"]
    assert " less " in pair and reason == "online: no values per task in both runs"


def trained(folder):
    like = {"walk": np.zeros(4, np.float32)}
    run = run_folder(folder)
    steps = [line["step"] for line in read_metrics(run / "metrics.jsonl")]
    positions = [line["position"] for line in read_metrics(run / "metrics.jsonl")]
    weights = load_weights(run / "weights" / "seed_0.safetensors", like)["walk"]
    return steps, positions, weights.tobytes()


def test_a_run_killed_or_stopped_resumes_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")  # as here, where jax runs already
    words = ["--num-steps", "12", "--pause", "0.05"]
    cli.run_experiment(toy_experiment.EXPERIMENT, words)
    whole = trained(tmp_path / "results")
    assert whole[0] == list(range(1, 13))
    monkeypatch.setenv("ICRL_RESULTS", str(tmp_path / "again"))
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        with script(tmp_path, *words) as process:
            assert process.stdout
            assert process.stderr
            for _ in range(5):
                process.stdout.readline()
            process.send_signal(number)
            said = process.stderr.read()
        assert process.returncode == code, said
    assert said.splitlines()[-1] == "stopped by SIGTERM; the same command resumes"
    cli.run_experiment(toy_experiment.EXPERIMENT, words)
    assert trained(tmp_path / "again") == whole


def test_a_second_process_on_the_same_folder_is_refused(tmp_path, capsys):
    words = ["--num-steps", "500", "--pause", "0.05"]
    with script(tmp_path, *words) as process:
        assert process.stdout
        assert "step 1\n" in (process.stdout.readline() for _ in range(9))
        with pytest.raises(SystemExit) as stop:
            cli.run_experiment(toy_experiment.EXPERIMENT, words)
        process.kill()
    assert stop.value.code == 2
    assert f"is in use by process {process.pid}" in capsys.readouterr().err


def test_nothing_but_results_stands_on_standard_error_of_a_process(tmp_path):
    with script(tmp_path, "smoke") as process:
        _, said = process.communicate()
    assert process.returncode == 0
    assert [line.split(":")[0] for line in said.splitlines()] == ["training"]


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [
        ({}, "a power of two"),
        ({"JAX_NUM_CPU_DEVICES": "3"}, 3),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}, 5),
    ],
    ids=["nobody", "jax", "xla"],
)
def test_a_processor_is_a_device_for_each_core_unless_it_is_said(set_by_user, expected):
    cores = min(len(os.sched_getaffinity(0)), 8)
    ours = next(n for n in (8, 4, 2, 1) if n <= cores)
    said = "JAX_NUM_CPU_DEVICES", "XLA_FLAGS"
    clean = {name: value for name, value in os.environ.items() if name not in said}
    code = (
        "from icrl import cli; cli._one_device_for_each_core();"
        "import jax; print(jax.device_count())"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **set_by_user},
        cwd=pathlib.Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(process.stdout) == (ours if set_by_user == {} else expected)
