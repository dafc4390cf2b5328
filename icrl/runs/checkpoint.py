"""Checkpoints to resume from, and weights to keep and share.

A pytree is stored as a flat dictionary of named arrays (`model.blocks.0.query.kernel`)
and put back into a template of the same structure, so that modules, optimiser states
and random keys need no code of their own. Restored arrays equal the saved ones bit by
bit, which a digest inside each checkpoint confirms.
"""

import contextlib
import hashlib
import json
import logging
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from icrl.errors import RunError
from icrl.runs import files

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
        arrays = {name: _to_numpy(leaf) for name, leaf in flatten(tree).items()}
        arrays[DIGEST] = _digest(arrays)
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
            if not np.array_equal(stored, _digest(arrays)):
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
            reason = _reason(error)
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


def save_weights(path: pathlib.Path, model: Any) -> None:
    """Writes a model's arrays as safetensors, whole or not at all.

    bfloat16 is written as float32, which every reader knows and which loses nothing.
    A digest of the arrays stands in the file's metadata.

    Raises:
        OSError: if the disk is full.
    """
    from safetensors.numpy import save

    arrays = {name: _to_numpy(leaf) for name, leaf in flatten(model).items()}
    for name, array in arrays.items():
        if array.dtype == jnp.bfloat16:
            array = array.astype(np.float32)
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)  # in C order
    digest = _digest(arrays).tobytes().hex()
    files.write_atomic(path, save(arrays, metadata={"sha256": digest}))


def load_weights(path: pathlib.Path, like: Any) -> Any:
    """Returns a model with the arrays of a safetensors file.

    Args:
        path: written by `save_weights`.
        like: a model of the same structure; its arrays need not be computed.

    Raises:
        RunError: if the file is missing, broken, changed since it was written, or of
            another model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
        arrays = load(data)
        _require_digest(data, arrays)
    except FileNotFoundError:
        raise RunError(f"no weights at {path}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({_reason(error)})") from error
    for name, template in flatten(like).items():
        if name in arrays and template.dtype == jnp.bfloat16:
            arrays[name] = arrays[name].astype(jnp.bfloat16)
    return unflatten(like, arrays, str(path))


def _require_digest(data: bytes, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises `ValueError` if the arrays of a safetensors file are not those written.

    A file of another writer, which has no digest, is taken as it is.
    """
    length = int.from_bytes(data[:8], "little")  # of the header, which is JSON
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    stored = metadata.get("sha256")
    if stored is not None and stored != _digest(arrays).tobytes().hex():
        raise ValueError("its digest does not match its arrays")


def flatten(tree: Any) -> dict[str, Any]:
    """Returns a tree's leaves by their dotted paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {_name(path): leaf for path, leaf in leaves}
    if len(named) < len(leaves):
        raise ValueError("two leaves of the tree have the same dotted path")
    return named


def unflatten(like: Any, arrays: Mapping[str, Any], source: str) -> Any:
    """Returns `like` with its leaves replaced by the arrays of the same names.

    Raises:
        RunError: if a name, a shape or a type differs; it names `source`.
    """
    templates = flatten(like)
    unshared = sorted(templates.keys() ^ arrays.keys())
    if unshared:
        where = "in it" if unshared[0] in templates else "in the model"
        raise RunError(f"{source} does not fit: {unshared[0]} is not {where}")
    for name, template in templates.items():
        there, here = _kind(arrays[name]), _kind(template)
        if there != here:
            raise RunError(f"{source} does not fit: {name} is {there}, not {here}")
    leaves = [_from_numpy(arrays[name], templates[name]) for name in templates]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


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


def _name(path: Any) -> str:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    return name.removesuffix(".value")  # the array inside an nnx.Param


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_numpy(leaf: Any) -> np.ndarray:
    """A copy: the buffer may be donated while the copy is being written."""
    return np.array(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _from_numpy(array: np.ndarray, template: Any) -> Any:
    if _is_key(template):
        impl = jax.random.key_impl(template)
        return jax.random.wrap_key_data(jnp.array(array), impl=impl)
    if isinstance(template, jax.Array):
        return jax.device_put(jnp.array(array), template.sharding)
    if isinstance(template, bool | int | float):
        return type(template)(array)
    return array if isinstance(template, np.ndarray) else jnp.array(array)


def _kind(leaf: Any) -> str:
    """The type and shape of a leaf, as "float32[4, 8]"."""
    if _is_key(leaf):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return f"{leaf.dtype}{list(leaf.shape)}"


def _digest(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {_kind(arrays[name])}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def _reason(error: BaseException) -> str:
    """What went wrong, short enough for one line."""
    if "No space left on device" in str(error):
        return "No space left on device"
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
