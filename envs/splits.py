"""Train and test halves of a family's tasks.

A split is an object with a hash, so that a result can say which tasks it was trained
and tested on. A task that stands in both halves is an error.
"""

import dataclasses
import hashlib
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from envs.base import Family, Key, Task, require

TRAIN, TEST = 0, 1  # key streams of the two halves of a prior


@runtime_checkable
class TaskSet(Protocol):
    """A half of a split: something to sample tasks from."""

    def sample(self, key: Key) -> Task:
        """Draws one task; pure, and `vmap` over keys draws a batch."""
        ...


class PriorTasks(NamedTuple):
    """Fresh draws from the prior; the two halves of a split use disjoint streams."""

    family: Family
    stream: int

    def sample(self, key: Key) -> Task:
        """Draws one task."""
        return self.family.sample(jax.random.fold_in(key, self.stream))


class FiniteTasks(NamedTuple):
    """A fixed list of tasks, stacked along a leading axis."""

    tasks: Any

    def __len__(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """How many tasks there are."""
        return jax.tree.leaves(self.tasks)[0].shape[0]

    def sample(self, key: Key) -> Task:
        """Draws one of the tasks, each with equal probability."""
        return self.at(jax.random.randint(key, (), 0, len(self)))

    def at(self, index: Int[Array, ""]) -> Task:
        """Task `index`, counted round and round."""
        return jax.tree.map(lambda leaf: leaf[index % len(self)], self.tasks)


@dataclasses.dataclass(frozen=True)
class Split:
    """Two halves of a family's tasks.

    Attributes:
        train: where pretraining samples.
        test: where evaluation samples.
        hash: 16 hex digits that name the family and both halves.
    """

    train: TaskSet
    test: TaskSet
    hash: str


def split_prior(family: Family) -> Split:
    """Both halves draw afresh from a continuous prior, so no task stands in both."""
    return Split(
        train=PriorTasks(family, TRAIN),
        test=PriorTasks(family, TEST),
        hash=_digest(repr(family).encode(), b"prior"),
    )


def count_train(num_tasks: int, test_fraction: float) -> int:
    """How many of a finite list of tasks are trained on.

    Raises:
        ValueError: if a half would be empty.
    """
    num_train = num_tasks - round(test_fraction * num_tasks)
    rule = f"both halves must have some of {num_tasks} tasks"
    require(0 < num_train < num_tasks, rule, f"{num_train} to train on")
    return num_train


def split_tasks(family: Family, train: Any, test: Any) -> Split:
    """A split of a finite list of tasks.

    Args:
        family: the tasks' family.
        train: tasks of the training half, stacked along a leading axis.
        test: tasks of the test half, likewise.

    Raises:
        ValueError: if a task stands in both halves.
    """
    halves = [fingerprints(train), fingerprints(test)]
    both = sorted(set(halves[0]) & set(halves[1]))
    if both:
        first = (halves[0].index(both[0]), halves[1].index(both[0]))
        raise ValueError(
            f"a task must stand in one half only, but {len(both)} stand in both: "
            f"train task {first[0]} is test task {first[1]}"
        )
    digest = _digest(repr(family).encode(), *halves[0], b"test", *halves[1])
    return Split(train=FiniteTasks(train), test=FiniteTasks(test), hash=digest)


def stack_tasks(tasks: list[Any]) -> Any:
    """One batched task from a list of single ones."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)


def fingerprints(tasks: Any) -> list[bytes]:
    """A digest of every task's parameters, of tasks stacked along a leading axis."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tasks)]
    return [
        hashlib.sha256(b"".join(leaf[i].tobytes() for leaf in leaves)).digest()
        for i in range(len(leaves[0]))
    ]


def digest(tasks: TaskSet) -> str:
    """Names a half of a split: 16 hex digits, equal for equal tasks alone."""
    if isinstance(tasks, FiniteTasks):
        return _digest(b"finite", *fingerprints(tasks.tasks))
    return _digest(repr(tasks).encode())


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
