"""Fields of frozen records, checked where they are made. Nothing here imports jax."""

import dataclasses
import math
import types
import typing
from typing import Any, Literal

NUM_SEEDS = 2**32  # JAX keeps 32 bits of a seed: greater ones would repeat smaller ones


def check_seed(name: str, seed: Any) -> None:
    """Raises `ValueError` unless a seed is one that JAX takes as it is."""
    if not 0 <= seed < NUM_SEEDS:
        raise ValueError(f"{name} must lie in [0, {NUM_SEEDS}), got {seed}")


def check_fields(record: Any) -> None:
    """Raises `ValueError` where a field's value is not what its annotation says.

    Choices must be among those of the `Literal`, whole numbers whole, numbers finite.
    Python itself checks none of it, and an unknown choice would play another.
    """
    kinds = typing.get_type_hints(type(record))
    for field in dataclasses.fields(record):
        _check(field.name, kinds[field.name], getattr(record, field.name))


def _check(name: str, kind: Any, value: Any) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal and value not in arguments:
        choices = ", ".join(map(str, arguments))
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        others = [kind for kind in arguments if kind is not type(None)]
        if len(others) == 1:
            _check(name, others[0], value)
    if origin is tuple and arguments:
        if not isinstance(value, tuple):
            raise ValueError(f"{name} must be a tuple, got {value!r}")
        if arguments[-1] is ...:
            for entry in value:
                _check(name, arguments[0], entry)
    if origin is dict and not isinstance(value, dict):
        raise ValueError(f"{name} must be a dictionary, got {value!r}")
    if kind is bool and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if kind is str and not isinstance(value, str):
        raise ValueError(f"{name} must be a name, got {value!r}")
    if kind is float and not (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    ):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
