"""A package outside icrl: everything it holds is reached by name."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest
from plugins import icrl, install

NAME = "distil_commitment"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The environment of a process in which the package is installed."""
    folders = (tmp_path_factory.mktemp(name) for name in ("site", "results"))
    return install("plugin", *folders)


def test_it_is_listed_run_drawn_evaluated_and_diagnosed_by_the_command_line(lab):
    said = icrl(
        lab,
        ["list"],
        ["envs"],
        ["check-env", "LeaningBandit-v0"],
        ["run", NAME, "smoke"],
        ["run", NAME, "smoke"],
        ["figure", NAME],
        ["evaluate", NAME, "--family", "LeaningBandit-v0", "--num-tasks", "20"],
        [
            *("diagnose", NAME, "--num-tasks", "10"),
            *("--target", "explore_then_commit", "--options", "pulls", "2"),
        ],
        ["run", NAME, "smoke", "--model.mixer", "gru", "--tokenizer", "step"],
    )
    listed, envs, checked, first, again, drawn, evaluated, diagnosed, other = said
    assert f"{NAME}: Does a model" in listed
    assert "LeaningBandit-v0" in envs
    assert "FAIL" not in checked
    assert "explore_then_commit" in first and "final_regret" in first
    assert first.splitlines()[-3:] == again.splitlines()[-3:]
    assert "regret.png" in drawn
    assert "agent_argmax" in evaluated
    assert "own_histories: from explore_then_commit" in diagnosed
    assert "final_regret" in other


def test_a_killed_run_of_it_goes_on_to_the_same_weights(lab, tmp_path):
    flags = ["--training.num-steps", "100"]
    script = "import sys; from icrl import cli; cli.main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "run", NAME, "cpu", *flags]

    def weights(root):
        (path,) = root.glob(f"{NAME}/cpu-*/weights/*.safetensors")
        return path.read_bytes()

    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    subprocess.run(command, env=lab | {"ICRL_RESULTS": str(quiet)}, check=True)
    process = subprocess.Popen(command, env=lab | {"ICRL_RESULTS": str(killed)})
    for _ in range(2400):
        if any(killed.glob(f"{NAME}/cpu-*/checkpoints/[2-9]0")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(killed.glob(f"{NAME}/cpu-*/weights/*.safetensors"))
    subprocess.run(command, env=lab | {"ICRL_RESULTS": str(killed)}, check=True)
    assert weights(killed) == weights(quiet)


def test_a_notebook_loads_and_plays_it(lab):
    script = f"""
import jax, icrl
from icrl.rollout import rollout
agent = icrl.load_agent({NAME!r})
task = agent.family.sample(jax.random.key(0))
played = rollout(jax.random.key(1), jax.random.key(2), task, agent.algorithm())
print(type(agent.models.blocks[0].mixer).__name__, played.gap.shape)
"""
    if not list(pathlib.Path(lab["ICRL_RESULTS"]).glob(f"{NAME}/smoke-*/DONE")):
        icrl(lab, ["run", NAME, "smoke"])
    done = subprocess.run(
        [sys.executable, "-c", script], env=lab, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() in (["Fading", "(20,)"], ["Gru", "(20,)"])


def test_names_that_nothing_holds_are_refused_with_the_nearest(lab):
    script = """
from icrl.config import TransformerConfig
from icrl.experiment import EXPERIMENTS
from icrl.algorithms import ALGORITHMS
from icrl.tokenizers import TOKENIZERS
from icrl.registries import MIXERS
for registry, name in (
    (EXPERIMENTS, "distil_comitment"), (ALGORITHMS, "explore_then_comit"),
    (TOKENIZERS, "with_godbye"), (MIXERS, "fadeing"),
):
    try:
        registry[name]
    except ValueError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=lab, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    near = (NAME, "explore_then_commit", "with_goodbye", "fading")
    assert all(
        f"did you mean {name}" in line for name, line in zip(near, lines, strict=True)
    )
