"""Families by versioned name.

A module in `envs/` registers its families when it is imported, and every module there
is imported at the first look-up: adding a family is adding a file. Other packages name
such a module under the entry-point group `icrl.envs`:

    [project.entry-points."icrl.envs"]
    my_bandit = "my_package.my_bandit"
"""

import dataclasses
import difflib
import importlib
import importlib.metadata
import pkgutil
import re
import warnings
from collections.abc import Callable
from typing import Any

import envs
from envs.base import Family

ENTRY_POINT_GROUP = "icrl.envs"
NAME = re.compile(r"[A-Za-z][\w-]*-v\d+")
_NOT_FAMILIES = {"gymnasium_adapter", "check"}  # tools over families; slower to import
_FAMILIES: dict[str, Family] = {}
_LISTENERS: list[Callable[[str], None]] = []
_SEARCHED: list[bool] = []  # holds one entry once the modules have been imported


def register(family: Family) -> Family:
    """Makes `family` known by its name.

    Returns:
        The family itself, so that a module can register and keep it in one line.

    Raises:
        ValueError: if the name is not of the form `Something-v0`, or another family
            holds it.
    """
    if not NAME.fullmatch(family.name):
        raise ValueError(
            f"a family's name must end in a version, like GaussianBandit-DPT-v0, "
            f"got {family.name!r}"
        )
    if _FAMILIES.get(family.name, family) != family:
        raise ValueError(
            f"the name {family.name!r} is taken by {_FAMILIES[family.name]}"
        )
    if family.name not in _FAMILIES:
        _FAMILIES[family.name] = family
        for listener in _LISTENERS:
            listener(family.name)
    return family


def tell(listener: Callable[[str], None]) -> None:
    """Calls `listener` with every family's name: now, and when one is registered."""
    known = names()
    _LISTENERS.append(listener)
    for name in known:
        listener(name)


def _discover() -> None:
    """Imports every module that may register families, once.

    Such a module may itself look a family up, so the search counts as done from its
    start; it starts anew where one of our own modules cannot be imported.
    """
    if _SEARCHED:
        return
    _SEARCHED.append(True)
    try:
        _import_modules()
    except BaseException:
        _SEARCHED.clear()
        raise


def _import_modules() -> None:
    for module in pkgutil.iter_modules(envs.__path__):
        if module.name not in _NOT_FAMILIES:
            importlib.import_module(f"envs.{module.name}")
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry_point.load()
        except Exception as error:  # somebody else's package must not break ours
            warnings.warn(
                f"entry point {entry_point.value!r} of {ENTRY_POINT_GROUP} "
                f"cannot be loaded: {error}",
                stacklevel=2,
            )


def names() -> list[str]:
    """Every registered name, sorted."""
    _discover()
    return sorted(_FAMILIES)


def family(name: str, **changes: Any) -> Family:
    """The family of that name, with `changes` to its fields where given.

    A changed family is no longer what the name pins, so its name says what changed.

    Raises:
        ValueError: if no family has that name (with suggestions), if it has no such
            field, or if a value breaks its rule.
    """
    _discover()
    if name not in _FAMILIES:
        close = difflib.get_close_matches(name, names(), cutoff=0.4) or names()
        raise ValueError(f"no family {name!r}; did you mean {', '.join(close)}?")
    found = _FAMILIES[name]
    changed = found.replace(**changes)
    marks = [
        f"{field.name}={getattr(changed, field.name)}"
        for field in sorted(dataclasses.fields(found), key=lambda field: field.name)
        if getattr(changed, field.name) != getattr(found, field.name)
    ]
    return changed.replace(name=f"{name}[{','.join(marks)}]") if marks else found
