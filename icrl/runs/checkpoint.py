"""Checkpoints to resume from.

Restored arrays equal the saved ones bit by bit, which a digest inside each checkpoint
confirms.
"""

import contextlib
import logging
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from icrl.errors import RunError
from icrl.runs.weights import digest_of, flatten, reason_of, to_numpy, unflatten

DIGEST = "digest of all arrays"  # an entry of each checkpoint


class Checkpoints:
    """The checkpoints in a folder: the newest two, and the one of the lowest metric.

    Saving copies the arrays, so that they may be donated at once, and writes them in
    the background. A kill during a save leaves the earlier checkpoints whole.

    Args:
        folder: its own; made if need be, and cleaned of what a kill left there.
        on_save: called after each save began.
    """

    def __init__(self, folder: pathlib.Path, on_save: Callable[[], None] | None = None):
        self.folder = folder
        self._on_save = on_save
        for path in folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)
        self._saving: int | None = None
        _ignore_late_work()
        with self._errors("open", self.latest_on_disk()):
            self._manager = _manager(folder)

    def save(self, step: int, tree: Any, metric: float | None = None) -> None:
        """Begins to save a tree; returns before it stands on the disk.

        Args:
            step: greater than those before.
            tree: of arrays and numbers.
            metric: lower is better; the best checkpoint is kept. None if unknown.

        Raises:
            RunError: if this save, or the one before, failed (a full disk, say).
        """
        from orbax.checkpoint import args

        self.wait()  # orbax would too; here a failure still knows its step
        self._saving = step
        arrays = {name: to_numpy(leaf) for name, leaf in flatten(tree).items()}
        arrays[DIGEST] = digest_of(arrays)
        metrics = None if metric is None else {"metric": float(metric)}
        with self._errors("save", step):
            self._manager.save(
                step, args=args.StandardSave(arrays), metrics=metrics, force=True
            )
        if self._on_save:
            self._on_save()

    def latest(self) -> int | None:
        """Returns the step of the newest checkpoint, None if there is none."""
        self.wait()
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Returns the step of the lowest metric, None if no checkpoint has one."""
        self.wait()
        metrics = {step: self._manager.metrics(step) for step in self._steps()}
        known = {step: found["metric"] for step, found in metrics.items() if found}
        return min(known, key=known.__getitem__, default=None)

    def restore(self, step: int, like: Any) -> Any:
        """Returns the tree that was saved at `step`.

        Args:
            step: of a checkpoint that exists.
            like: a tree of the same structure, shapes and types; arrays that are not
                computed (`jax.eval_shape`) will do. Arrays come back on its devices.

        Raises:
            RunError: if there is no such checkpoint, it is broken, or `like` differs.
        """
        from orbax.checkpoint import args

        self.wait()
        with self._errors("restore", step):
            arrays = self._manager.restore(step, args=args.StandardRestore())
            stored = arrays.pop(DIGEST)
            if not np.array_equal(stored, digest_of(arrays)):
                raise ValueError("its digest does not match its arrays")
        return unflatten(like, arrays, f"checkpoint {step} in {self.folder}")

    def wait(self) -> None:
        """Returns when what was saved stands on the disk.

        Raises:
            RunError: if it could not be written.
        """
        with self._errors("save", self._saving):
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def close(self) -> None:
        """Waits, and frees the background threads."""
        self.wait()
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def latest_on_disk(self) -> int | None:
        """Returns the newest step that stands on the disk now."""
        return max(self._steps(), default=None)

    def _steps(self) -> list[int]:
        return [int(path.name) for path in self.folder.glob("*") if path.name.isdigit()]

    @contextlib.contextmanager
    def _errors(self, deed: str, step: int | None) -> Iterator[None]:
        """Turns whatever orbax raises into one line that says what to do."""
        try:
            yield
        except Exception as error:
            reason = reason_of(error)
            if deed != "restore":
                raise RunError(
                    f"cannot {deed} checkpoint {step} in {self.folder} ({reason}); "
                    "earlier checkpoints are whole"
                ) from error
            if step not in self._steps():
                raise RunError(f"no checkpoint {step} in {self.folder}") from error
            older = max((s for s in self._steps() if s < (step or 0)), default=None)
            advice = (
                f"resume from checkpoint {older}" if older is not None else "start anew"
            )
            raise RunError(
                f"checkpoint {step} in {self.folder} cannot be read ({reason}): "
                f"delete it to {advice}"
            ) from error


def _manager(folder: pathlib.Path) -> Any:
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # all comes back as errors
    import orbax.checkpoint as ocp

    policies = ocp.checkpoint_managers
    best = policies.BestN(
        n=1,
        reverse=True,
        get_metric_fn=lambda metrics: metrics["metric"],
        keep_checkpoints_without_metrics=False,
    )
    options = ocp.CheckpointManagerOptions(
        best_fn=lambda metrics: metrics["metric"],  # else metrics are not written
        best_mode="min",
        preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(2), best]),
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _ignore_late_work() -> None:
    """Keeps a failed save or restore to its one line.

    What is under way when orbax gives up reports to its event loop, which is closed by
    then, from threads of its own and at any later time: it is ignored for good.
    """
    before = sys.unraisablehook
    if getattr(before, "ignores_late_work", False):
        return

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    hook.ignores_late_work = True  # pyright: ignore[reportFunctionMemberAccess]
    sys.unraisablehook = hook
