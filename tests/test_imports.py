"""The direction of imports, and what must not be imported for an answer in time."""

import ast
import graphlib
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
# The rooms of icrl: each may import those that it names, and theirs.
ROOMS = {
    "errors": (),
    "packages": (),
    "registries": (),
    "config": ("errors", "registries"),
    "experiment": ("config", "packages"),
    "presets": ("online_config",),
    "published": (),
    "gymnasium_ids": (),
    "runs": ("experiment",),
    "algorithms": ("errors",),
    "models": ("config",),
    "keys": (),
    "devices": (),
    "rollout": ("algorithms",),
    "replay": ("rollout",),
    "tokenizers": ("rollout",),
    "agents": ("tokenizers", "replay", "models", "runs"),
    "pretraining": ("agents", "keys"),
    "online_config": ("config",),
    "training": ("pretraining", "devices", "online_config"),
    "evaluation": ("pretraining", "devices"),
    "diagnostics": ("evaluation",),
    "theory": ("diagnostics",),
    "drawing": ("rollout",),
    "panels": ("evaluation", "drawing"),
    "results": ("panels",),
    "study": ("theory", "training", "results", "presets", "published"),
    "lin2023": ("study",),
    "gtrxl": ("study",),
    "commands": ("study",),
    "cli": ("commands",),
    "__init__": ("agents", "gymnasium_ids", "packages"),
}


def imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_lies_below_it(package):
    for path in (ROOT / package).rglob("*.py"):
        for name in imported_names(ast.parse(path.read_text())):
            top = name.split(".")[0]
            assert top not in OURS - MAY_IMPORT[package], f"{path}: imports {name}"


def below(room):
    """The room itself and all that it may import."""
    return {room}.union(*(below(other) for other in ROOMS[room]))


def test_the_rooms_of_icrl_import_in_one_direction():
    package = ROOT / "icrl"
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for name in imported_names(ast.parse(path.read_text())):
            top, *inner = name.split(".")
            if room == "config" and name.startswith("icrl.models.transformer"):
                continue  # `TransformerConfig.make` imports jax when it is called
            if top == "icrl" and inner[0] != "load_agent":
                assert inner[0] in below(room), f"{path}: imports {name}"


def test_no_module_imports_itself_through_others():
    """Of what is imported as a module loads; a package stands for its `__init__`."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}

    def imports(path):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imported_names(node):
                    yield name if name in modules else name.rpartition(".")[0]

    graph = {
        name: (set(imports(path)) & modules.keys()) - {name}
        for name, path in modules.items()
    }
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


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
from icrl import cli, config
from icrl.experiment import EXPERIMENTS
from icrl import runs
from icrl.runs import saved
for name in EXPERIMENTS.names():
    EXPERIMENTS[name]
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


def test_a_file_over_300_lines_says_why():
    folders = "benchmarks", "envs", "experiments", "icrl", "tests"
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 200
    silent = [
        str(path.relative_to(ROOT))
        for path in paths
        if (text := path.read_text()).count("\n") > 300
        and "\nOver 300 lines: " not in (ast.get_docstring(ast.parse(text)) or "")
    ]
    assert silent == []
