"""The three packages stand beside each other; another of the same name may hide ours.

`envs` and `experiments` are names that others use too: for a folder beside their
script, or for a package of an index. Python then imports theirs, and what fails next
does not say so. Nothing here imports anything but the standard library.
"""

import importlib
import importlib.util
import pathlib
import sys

BESIDE = pathlib.Path(__file__).parent.parent  # where the three packages are


class ShadowedError(ImportError):
    """Another package stands where Python looks for one of ours."""


def require_own(name: str, member: str = "") -> None:
    """Returns if `import NAME` finds the package beside this one.

    Args:
        name: of the package.
        member: what ours has, and a package that was installed over it has not.

    Raises:
        ShadowedError: if it finds another; the message says which, and the way out.
    """
    ours = BESIDE / name / "__init__.py"
    found = _file_of(name)
    if found is None or not found.exists() or not ours.exists():
        raise ShadowedError(f"icrl needs its package {name!r} in {ours.parent}")
    if not found.samefile(ours):
        raise ShadowedError(
            f"icrl needs its package {name!r} in {ours.parent}, and Python finds "
            f"{found.parent} first: rename that one, or start Python elsewhere"
        )
    if member and not hasattr(_imported(name), member):
        raise ShadowedError(
            f"another package was installed over icrl's {name!r} in {ours.parent}: "
            f"pip uninstall {name}; pip install --force-reinstall --no-deps icrl"
        )


def _file_of(name: str) -> pathlib.Path | None:
    """The file that a package is, or would be, imported from."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        file = spec.origin if spec else None
    return pathlib.Path(file) if file else None


def _imported(name: str) -> object:
    """The package; None where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
