"""Algorithms by name: `register` in their files, `make` everywhere else.

Other packages name a module with algorithms under the entry-point group
`icrl.algorithms`.
"""

import inspect
from collections.abc import Callable
from typing import Any

from envs.base import Family
from envs.registry import Registry
from icrl.algorithms.base import Algorithm

ALGORITHMS: Registry[Callable[..., Algorithm]] = Registry(
    "algorithm", "icrl.algorithms", "icrl.algorithms"
)
register = ALGORITHMS.register  # decorates a factory, which takes the family first


def make(name: str, family: Family, **options: Any) -> Algorithm:
    """The algorithm of that name for a family.

    `optimal` and `annealed_optimal` are not among them: they are made from a task.

    Raises:
        ValueError: if there is no such algorithm (with suggestions), it has no such
            option, or an option breaks its rule.
    """
    factory = ALGORITHMS[name]
    known = list(inspect.signature(factory).parameters)[1:]
    for option in options:
        if option not in known:
            raise ValueError(
                f"{name} has no option {option!r}; "
                f"its options are {', '.join(known) or 'none'}"
            )
    return factory(family, **options)
