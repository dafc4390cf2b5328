"""What a run ran on: versions, devices, commit. Bits repeat only where these agree."""

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

from icrl.packages import BESIDE

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
DECISIVE = (*PACKAGES, "device", "device_count", "processor")  # for an exact resume


def describe() -> dict[str, Any]:
    """Returns what `env.json` records. Imports jax and starts its devices."""
    import jax

    devices = jax.devices()
    return {
        "icrl": importlib.metadata.version("icrl"),
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "device": devices[0].device_kind,
        "device_count": len(devices),
        "processor": _processor(),
        "platform": platform.platform(),
    }


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Returns what stands against an exact resume, as "jax 0.10.2 (here 0.12.0)"."""
    return [
        f"{name} {old.get(name)} (here {new.get(name)})"
        for name in DECISIVE
        if old.get(name) != new.get(name)
    ]


def _git_commit() -> str | None:
    """The commit of this source tree, marked "+" if files differ; None outside git."""
    if not (BESIDE / ".git").exists():
        return None  # an installed package; the folder around it may be any repository
    commit = _git(BESIDE, "rev-parse", "HEAD")
    changed = _git(BESIDE, "status", "--porcelain", "--untracked-files=no")
    return commit and commit + ("+" if changed else "")


def _git(folder: pathlib.Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _processor() -> str:
    """The processor's model; compiled code, and so rounding, may depend on it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return models[0] if models else platform.processor() or platform.machine()
