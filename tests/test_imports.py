"""The direction of imports, and what must not be imported for an answer in time."""

import ast
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAY_IMPORT = {
    "envs": {"envs"},
    "icrl": {"envs", "icrl"},
    "experiments": {"envs", "icrl"},
}
OURS = {"envs", "icrl", "experiments", "tests"}


def imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_lies_below_it(package):
    for path in (ROOT / package).rglob("*.py"):
        for name in imported_names(ast.parse(path.read_text())):
            if path == ROOT / "icrl" / "experiment.py" and name == "experiments":
                continue  # the one place that looks experiments up, by name
            top = name.split(".")[0]
            assert top not in OURS - MAY_IMPORT[package], f"{path}: imports {name}"


def loaded_by(code):
    """Names of modules that are loaded after `code` ran in a fresh interpreter."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


HEAVY = {"jax", "flax", "optax", "scipy", "matplotlib", "orbax", "gymnasium"}


def test_the_command_line_and_every_experiment_load_without_jax():
    code = """
from icrl import cli, config, experiment
from icrl import runs
from icrl.runs import saved
for name in experiment.names():
    experiment.load(name)
"""
    assert not loaded_by(code) & HEAVY


def test_help_answers_in_half_a_second():
    def seconds():
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from icrl import cli; cli.main(['--help'])"],
            capture_output=True,
            check=True,
            cwd=ROOT,
        )
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.5  # a busy machine may disturb some
