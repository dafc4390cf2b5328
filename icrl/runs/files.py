"""Files that are whole or absent: a kill or a full disk never leaves half of one."""

import contextlib
import fcntl
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import IO, Any

from icrl.errors import RunError


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


def read_json(path: pathlib.Path) -> Any:
    """Returns the value in a JSON file.

    Raises:
        RunError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read ({error})") from None


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

    Raises:
        RunError: if another process holds it.
    """
    file = open(folder / ".lock", "a+", encoding="ascii")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise RunError(f"{folder} is in use by process {owner}") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _sync_folder(folder: pathlib.Path) -> None:
    """Makes a rename in the folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
