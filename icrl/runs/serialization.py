"""Configs as JSON, there and back, and the hash that names a run's folder."""

import dataclasses
import hashlib
import json
import math
import pathlib
import types
import typing
from typing import Any

UNHASHED = ("seeds", "log")  # may differ between two commands of the same run


def encode(value: Any) -> Any:
    """Returns a config, or a part of it, in JSON's own types.

    A nested dataclass also names its type, so that a union is read back as it was.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _encode_nested(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(name): _encode_nested(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_encode_nested(entry) for entry in value]
    if isinstance(value, pathlib.Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a config holds plain values and dataclasses, got {value!r}")


def decode(kind: Any, data: Any) -> Any:
    """Returns the value of type `kind` that `encode` wrote.

    Raises:
        ValueError: if the data has no such value (a field was renamed, say).
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, data)
    if origin is typing.Annotated:
        return decode(arguments[0], data)
    if origin in (tuple, list):
        _require(isinstance(data, list | tuple), "a list", data)
        entry_kind = arguments[0] if arguments else Any
        fixed = arguments and arguments[-1] is not ... and origin is tuple
        kinds = arguments if fixed else [entry_kind] * len(data)
        _require(len(kinds) == len(data), f"a list of {len(kinds)}", data)
        return origin(decode(k, entry) for k, entry in zip(kinds, data, strict=True))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        _require(isinstance(data, dict), f"the fields of {kind.__name__}", data)
        return _decode_dataclass(kind, data)
    if kind is float:
        number = isinstance(data, int | float) and not isinstance(data, bool)
        _require(number or data in ("inf", "-inf", "nan"), "a number", data)
        return float(data)
    if kind is pathlib.Path:
        _require(isinstance(data, str), "the name of a file", data)
        return pathlib.Path(data)
    return data


def config_hash(config: Any) -> str:
    """Returns 8 hexadecimal digits that tell a config from others.

    `seeds` and `log` do not enter, nor does the way a number is written (1 or 1.0).
    """
    text = json.dumps(_canonical(hashed_part(encode(config))), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def hashed_part(encoded: dict[str, Any]) -> dict[str, Any]:
    """Returns an encoded config without the fields that may change within a run."""
    return {name: entry for name, entry in encoded.items() if name not in UNHASHED}


def first_difference(old: Any, new: Any, at: str = "") -> tuple[str, Any, Any] | None:
    """Returns the dotted key where two JSON values first differ, and both values."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return None if old == new else (at or "value", old, new)
    for name in sorted(old.keys() | new.keys()):
        pair = old.get(name, "nothing"), new.get(name, "nothing")
        found = first_difference(*pair, at=f"{at}.{name}" if at else name)
        if found:
            return found
    return None


def _encode_nested(value: Any) -> Any:
    encoded = encode(value)
    if dataclasses.is_dataclass(value):
        return {"type": type(value).__name__, **encoded}
    return encoded


def _decode_dataclass(kind: type, data: dict[str, Any]) -> Any:
    kinds = typing.get_type_hints(kind, include_extras=True)
    values = {name: entry for name, entry in data.items() if name != "type"}
    fields = {field.name for field in dataclasses.fields(kind)}
    if values.keys() - fields:
        raise ValueError(
            f"{kind.__name__} has no field {min(values.keys() - fields)!r}: "
            "the config was written by another version"
        )
    for field in dataclasses.fields(kind):
        unset = field.default is field.default_factory is dataclasses.MISSING
        if unset and field.name not in values:
            raise ValueError(f"{kind.__name__} needs a field {field.name!r}")
    return kind(**{name: decode(kinds[name], entry) for name, entry in values.items()})


def _require(holds: bool, what: str, data: Any) -> None:
    """Raises `ValueError` unless the data is what a config has in its place."""
    if not holds:
        raise ValueError(f"a config has {what} here, got {data!r}")


def _decode_union(kinds: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in kinds:
        return None
    if isinstance(data, dict):
        named = [k for k in kinds if getattr(k, "__name__", "") == data.get("type")]
        if not named:
            raise ValueError(f"no config of type {data.get('type')!r} fits here")
        return decode(named[0], data)
    others = [kind for kind in kinds if kind is not type(None)]
    return decode(others[0], data) if len(others) == 1 else data


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _canonical(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
