"""Loggers beside `metrics.jsonl`, each an extra that need not be installed.

A logger is made as `logger(folder, name, resume_step)`, and has `log` and `close`.
"""

import contextlib
import importlib
import pathlib
from collections.abc import Iterator

from icrl.errors import RunError


class TensorBoard:
    """Event files in the run's folder; lines after `resume_step` are dropped."""

    def __init__(self, folder: pathlib.Path, name: str, resume_step: int):
        with _needs_extra("tensorboard"):
            import tensorboardX
        self._writer = tensorboardX.SummaryWriter(
            str(folder / "tensorboard" / name), purge_step=resume_step + 1
        )

    def log(self, step: int, scalars: dict[str, float]) -> None:
        """Takes one number per tag."""
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, step)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


class Wandb:
    """Weights & Biases; offline where there is no key or no network."""

    def __init__(self, folder: pathlib.Path, name: str, resume_step: int):
        del resume_step  # its service orders by step and ignores earlier ones
        with _needs_extra("wandb"):
            wandb = importlib.import_module("wandb")
        label = f"{folder.parent.name}-{folder.name}-{name}"
        options = {"project": "icrl", "name": label, "dir": str(folder)}
        try:
            self._run = wandb.init(id=label, resume="allow", **options)
        except wandb.errors.Error:
            self._run = wandb.init(id=label, mode="offline", **options)

    def log(self, step: int, scalars: dict[str, float]) -> None:
        """Takes one number per tag."""
        self._run.log(scalars, step=step)

    def close(self) -> None:
        """Writes what is left."""
        self._run.finish()


LOGGERS = {"tensorboard": TensorBoard, "wandb": Wandb}


@contextlib.contextmanager
def _needs_extra(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise RunError(
            f"--log {name} needs the extra: pip install 'icrl[{name}]'"
        ) from None
