"""Another package of the same name hides one of ours: said in one line."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def python(first, *words, site=ROOT):
    """Runs Python in a folder that it searches before ours."""
    paths = f"{first}{os.pathsep}{site}"
    return subprocess.run(
        [sys.executable, *words],
        cwd=first,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )


def package(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    return folder / name


def test_another_package_named_envs_is_named_with_the_way_out(tmp_path):
    theirs = package(tmp_path, "envs")
    done = python(tmp_path, "-c", "import icrl")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert f"package 'envs' in {ROOT / 'envs'}, and Python finds {theirs}" in last
    assert "rename that one" in last


@pytest.mark.parametrize("name", ["envs", "experiments"])
def test_the_command_says_it_in_one_line(tmp_path, name):
    theirs = package(tmp_path, name)
    command = tmp_path / "icrl"
    command.write_text("from icrl.cli import main; main()")
    done = python(tmp_path, str(command), "list")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: icrl needs its package '{name}' in")
    assert str(theirs) in done.stderr and done.stderr.count("\n") == 1


def test_another_package_named_experiments_does_not_matter_without_ours(tmp_path):
    package(tmp_path, "experiments")
    code = "import icrl, envs; from icrl.config import TrainingConfig"
    assert python(tmp_path, "-c", code).returncode == 0


def test_a_package_installed_over_ours_is_told_from_it(tmp_path):
    site = tmp_path / "site"
    for name in ("icrl", "envs"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, site / name, ignore=skip)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert python(elsewhere, "-c", "import icrl", site=site).returncode == 0
    (site / "envs" / "__init__.py").write_text('"""Environment variables."""')
    done = python(elsewhere, "-c", "import icrl", site=site)
    last = done.stderr.splitlines()[-1]
    assert "another package was installed over icrl's 'envs'" in last
    assert "pip uninstall envs" in last
