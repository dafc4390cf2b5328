"""Registries: things by name, found in a package's files and in other packages.

Families of tasks, algorithms, models, mixers, joins, tokenizers and experiments are all
registered in the same way. A file registers what it holds when it is imported, so that
adding a thing is adding a file. Other packages name such a module under the entry-point
group of the registry:

    [project.entry-points."icrl.envs"]
    my_bandit = "my_package.my_bandit"

Nothing here imports jax, so that the command line answers at once.
"""

import difflib
import importlib
import importlib.metadata
import os
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from envs.base import Family

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name.

    Args:
        kind: what they are, for messages: "family".
        group: entry-point group in which other packages name their modules.
        package: whose modules register them, in subpackages too.
        skip: modules of the package that register nothing and are slow to import.
        named_by_file: whether each file, and each entry point, registers one thing
            under its own name. Then names are known, and one thing is found, without
            importing the others.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        package: str,
        *,
        skip: Iterable[str] = (),
        named_by_file: bool = False,
    ):
        self.kind, self.group, self.package = kind, group, package
        self._skip = frozenset(skip)
        self._named_by_file = named_by_file
        self._entries: dict[str, T] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._searched = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorates what is registered under `name`.

        Raises:
            ValueError: if something else holds the name.
        """
        return lambda value: self.add(name, value)

    def add(self, name: str, value: T) -> T:
        """Registers `value` and returns it.

        Raises:
            ValueError: if something else holds the name.
        """
        if self._entries.get(name, value) != value:
            raise ValueError(f"the name {name!r} is taken by {self._entries[name]}")
        if name not in self._entries:
            self._entries[name] = value
            for listener in self._listeners:
                listener(name)
        return value

    def names(self) -> list[str]:
        """Every name, sorted."""
        if self._named_by_file:
            return sorted({*self._entries, *self._files(), *self._entry_points()})
        self._discover()
        return sorted(self._entries)

    def __getitem__(self, name: str) -> T:
        """What is registered under `name`.

        Raises:
            ValueError: if there is nothing (with the nearest names), or its module
                cannot be imported.
        """
        if name not in self._entries:
            self._find(name)
        if name not in self._entries:
            raise unknown(self.kind, name, self.names())
        return self._entries[name]

    def held(self, name: str) -> T | None:
        """What is registered under `name` by now; None if nothing is."""
        return self._entries.get(name)

    def require(self, name: str) -> None:
        """Raises `ValueError` unless the name is known; imports little or nothing."""
        known = name in self._entries
        if not known and not (self._named_by_file and name in self.names()):
            self[name]

    def tell(self, listener: Callable[[str], None]) -> None:
        """Calls `listener` with every name: now, and when one is registered."""
        known = self.names()
        self._listeners.append(listener)
        for name in known:
            listener(name)

    def _find(self, name: str) -> None:
        """Imports the module that registers `name`, or all of them."""
        if not self._named_by_file:
            self._discover()
        elif name in self._files():
            importlib.import_module(f"{self.package}.{name}")
        elif name in self._entry_points():
            try:
                self._entry_points()[name].load()
            except Exception as error:
                raise ValueError(
                    f"the {self.kind} {name!r} cannot be loaded: {error}"
                ) from error
            if name not in self._entries:
                raise ValueError(
                    f"an entry point of {self.group} must have the name of its file, "
                    f"got {name} = {self._entry_points()[name].value}"
                )

    def _discover(self) -> None:
        """Imports every module that may register something, once.

        Such a module may itself look something up, so the search counts as done from
        its start; it starts anew where one of our own modules cannot be imported.
        """
        if self._searched:
            return
        self._searched = True
        try:
            self._import_modules()
        except BaseException:
            self._searched = False
            raise

    def _import_modules(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(package.__path__, f"{self.package}."):
            if module.name.rpartition(".")[2] not in self._skip:
                importlib.import_module(module.name)
        for entry_point in self._entry_points().values():
            try:
                entry_point.load()
            except Exception as error:  # another package must not break ours
                warnings.warn(
                    f"entry point {entry_point.value!r} of {self.group} "
                    f"cannot be loaded: {error}",
                    stacklevel=2,
                )

    def _files(self) -> set[str]:
        top, *inner = self.package.split(".")  # an inner package may import jax
        folders = importlib.import_module(top).__path__
        modules = pkgutil.iter_modules([os.path.join(f, *inner) for f in folders])
        return {m.name for m in modules if m.name[0] != "_"} - self._skip

    def _entry_points(self) -> dict[str, importlib.metadata.EntryPoint]:
        found = importlib.metadata.entry_points(group=self.group)
        return {entry_point.name: entry_point for entry_point in found}


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Returns the error for a name that nothing has, with the nearest that exist."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, cutoff=0.4)
    if close:
        return ValueError(f"no {kind} {name!r}; did you mean {', '.join(close)}?")
    return ValueError(f"no {kind} {name!r}; there are: {', '.join(known) or 'none'}")


NAME = re.compile(r"[A-Za-z][\w-]*-v\d+")  # of a family: it ends in a version
FAMILIES: "Registry[Family]" = Registry(
    "family", "icrl.envs", "envs", skip=("gymnasium_adapter", "check")
)


def register(family: "Family") -> "Family":
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
    return FAMILIES.add(family.name, family)


def names() -> list[str]:
    """Every family's name, sorted."""
    return FAMILIES.names()


def family(name: str, **changes: Any) -> "Family":
    """The family of that name, with `changes` to its fields where given.

    A changed family is no longer what the name pins, so its name says what changed.

    Raises:
        ValueError: if no family has that name (with suggestions), if it has no such
            field, or if a value breaks its rule.
    """
    return FAMILIES[name].changed(**changes)
