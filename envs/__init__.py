"""Families of tasks: what there is to learn.

    family = envs.family("GaussianBandit-DPT-v0", horizon=100)
    task = family.sample(jax.random.key(0))

To add one, write one file: copy `envs/template.py`, change it, and its last line
registers it. `icrl check-env NAME` says whether it holds to the contract.
"""

from typing import TYPE_CHECKING, Any

from envs.registry import family, names, register

if TYPE_CHECKING:
    from envs.base import Family, Key, Task, TimeStep
    from envs.splits import Split, TaskSet

__all__ = [
    "Family",
    "Key",
    "Split",
    "Task",
    "TaskSet",
    "TimeStep",
    "family",
    "names",
    "register",
]


def __getattr__(name: str) -> Any:
    """Imports the types, and jax with them, when they are asked for."""
    if name in __all__:
        from envs import base, splits

        return getattr(splits if name in ("Split", "TaskSet") else base, name)
    raise AttributeError(f"module 'envs' has no attribute {name!r}")
