"""Weights to keep and share: a pytree as named arrays, and as a safetensors file.

A pytree is a flat dictionary of named arrays (`model.blocks.0.query.kernel`), which is
put back into a template of the same structure, so that modules, optimiser states and
random keys need no code of their own. A digest tells whether arrays are those written.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from icrl.errors import RunError
from icrl.runs import files


def save_weights(path: pathlib.Path, model: Any) -> None:
    """Writes a model's arrays as safetensors, whole or not at all.

    bfloat16 is written as float32, which every reader knows and which loses nothing.
    A digest of the arrays stands in the file's metadata.

    Raises:
        OSError: if the disk is full.
    """
    from safetensors.numpy import save

    arrays = {name: to_numpy(leaf) for name, leaf in flatten(model).items()}
    for name, array in arrays.items():
        if array.dtype == jnp.bfloat16:
            array = array.astype(np.float32)
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)  # in C order
    digest = digest_of(arrays).tobytes().hex()
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
        raise RunError(f"{path} cannot be read ({reason_of(error)})") from error
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
    if stored is not None and stored != digest_of(arrays).tobytes().hex():
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


def _name(path: Any) -> str:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    return name.removesuffix(".value")  # the array inside an nnx.Param


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def to_numpy(leaf: Any) -> np.ndarray:
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


def digest_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Hash of arrays with their names, types and shapes: 32 bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {_kind(arrays[name])}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def reason_of(error: BaseException) -> str:
    """What went wrong, short enough for one line."""
    if "No space left on device" in str(error):
        return "No space left on device"
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
