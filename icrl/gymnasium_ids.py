"""Ids for Gymnasium: `gymnasium.make("icrl/GaussianBandit-DPT-v0")`.

Every family has an id as soon as `icrl` and `gymnasium` are both imported, in either
order. Knowing the names means importing the families, hence JAX (a second), and
`import icrl` must do neither that nor import Gymnasium, or `icrl --help` would not
answer at once. So whichever of the two is imported last registers the ids; where that
is Gymnasium, it is a hook in Python's import system that sees it happen.
"""

import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NAMESPACE = "icrl"


def register_ids() -> None:
    """Gives every family an id, and every family registered later."""
    from envs.registry import FAMILIES

    FAMILIES.tell(_register_id)


def register_ids_with_gymnasium() -> None:
    """Calls `register_ids` now if Gymnasium is imported, else once it is."""
    if "gymnasium" in sys.modules:
        register_ids()
    else:
        sys.meta_path.insert(0, _GymnasiumImport())


def _register_id(name: str) -> None:
    import gymnasium

    identifier = f"{NAMESPACE}/{name}"
    if identifier not in gymnasium.registry:
        gymnasium.register(
            id=identifier,  # strings, as callables could not be serialised
            entry_point="envs.gymnasium_adapter:Env",
            vector_entry_point="envs.gymnasium_adapter:VectorEnv",
            kwargs={"family": name},
        )


class _GymnasiumImport(importlib.abc.MetaPathFinder):
    """Sees `import gymnasium`, lets it happen and registers the ids after it."""

    _searching = False

    def find_spec(
        self,
        fullname: str,
        path: Any,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The module's own spec, whose loader also registers the ids."""
        del path, target
        if fullname != "gymnasium" or self._searching:
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching = False
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                register_ids()

        spec.loader.exec_module = load_and_register  # pyright: ignore
        return spec
