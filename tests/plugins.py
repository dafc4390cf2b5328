"""Packages of somebody else's, installed for the processes of a test."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

TESTS = pathlib.Path(__file__).parent


def install(package, site, results):
    """The environment of a process that has the package in tests/<package>/.

    It is what pip would leave behind: the modules and the names of entry points.
    """
    project = tomllib.loads((TESTS / package / "pyproject.toml").read_text())["project"]
    module = project["name"].replace("-", "_")
    shutil.copytree(TESTS / package / module, site / module)
    info = site / f"{module}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\n"
        f"Version: {project['version']}\n"
    )
    groups = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items())
        for group, names in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return os.environ | {
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{site}",
        "ICRL_RESULTS": str(results),
    }


def icrl(lab, *commands):
    """What each command prints; one process runs them all."""
    script = (
        "import json, sys; from icrl import cli\n"
        "for words in json.loads(sys.argv[1]): print('>>>'); cli.main(words)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        env=lab,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(">>>\n")[1:]
