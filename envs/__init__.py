"""Families of tasks: what there is to learn.

    family = envs.family("GaussianBandit-DPT-v0", horizon=100)
    task = family.sample(jax.random.key(0))

To add one, write one file: copy `envs/template.py`, change it, and its last line
registers it. `icrl check-env NAME` says whether it holds to the contract.
"""

from envs.base import Family, Key, Task, TimeStep
from envs.registry import family, names, register
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
