"""Files that are whole or absent: a kill or a full disk never leaves half of one."""

import contextlib
import errno
import fcntl
import json
import math
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import IO, Any

from icrl.errors import RunError

IN_USE = (errno.EAGAIN, errno.EWOULDBLOCK)  # another process holds the lock
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
KINDS = {  # of JSON's values
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def write_atomic(path: pathlib.Path, data: bytes) -> None:
    """Replaces the file by `data`, or leaves the old one as it was.

    Raises:
        OSError: if the disk is full or the folder cannot be written; it names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes indented JSON atomically; see `plain` for what becomes of arrays."""
    text = json.dumps(plain(value), indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: pathlib.Path, kind: Any = None) -> Any:
    """Returns the value in a JSON file.

    Args:
        path: of the file.
        kind: what it must hold: a type, or a tuple of types; `[kind]`, a list of such
            values; or a dictionary with the kind of every entry that must be there.
            None: anything.

    Raises:
        RunError: if the file is missing, is not JSON, or holds another kind of value;
            it names the file and the entry.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (ValueError, OSError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error})") from None
    if kind is not None:
        fault = _fault(value, kind, "")
        if fault:
            raise RunError(f"{path} cannot be read: {fault}")
    return value


def plain(value: Any) -> Any:
    """Returns `value` in JSON's types: arrays as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return plain(value.tolist())  # numpy's or jax's


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what a killed `write_atomic` left in the folder."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def lock(folder: pathlib.Path) -> IO[str]:
    """Holds the folder until the result is closed or the process ends.

    On a file system without locks it says so, and holds nothing.

    Raises:
        RunError: if another process holds it.
    """
    path = folder / ".lock"
    file = open(path, "a+", encoding="ascii")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in IN_USE:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise RunError(f"{folder} is in use by process {owner}") from None
        print(
            f"warning: {folder} cannot be locked ({error.strerror}): do not start a "
            "second process on it",
            file=sys.stderr,
        )
    if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
        file.close()
        raise RunError(f"{folder} was removed by another process: start again")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _sync_folder(folder: pathlib.Path) -> None:
    """Makes a rename in the folder survive a loss of power, where that is possible."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def _fault(value: Any, kind: Any, at: str) -> str | None:
    """Where a JSON value is not of a kind, and what is there; None if it is."""
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return _expected(at, (dict,), value)
        for name, inner in kind.items():
            where = f"{at}.{name}" if at else name
            if name not in value:
                return f"{where} is missing"
            if fault := _fault(value[name], inner, where):
                return fault
        return None
    if isinstance(kind, list):
        if not isinstance(value, list):
            return _expected(at, (list,), value)
        faults = (_fault(one, kind[0], f"{at}[{i}]") for i, one in enumerate(value))
        return next(filter(None, faults), None)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    fits = isinstance(value, kinds) or (float in kinds and isinstance(value, int))
    if isinstance(value, bool):  # which Python takes for a whole number
        fits = bool in kinds
    return None if fits else _expected(at, kinds, value)


def _expected(at: str, kinds: tuple[type, ...], value: Any) -> str:
    names = " or ".join(KINDS[kind] for kind in kinds)
    shown = repr(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
    return f"{at or 'it'} must be {names}, got {shown}"
