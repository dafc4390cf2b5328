"""Observation spaces: what a task shows, as a value.

`family.observation` is one of them: a tokenizer writes what it says, an algorithm
checks it, and two families show the same if theirs are equal.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True, eq=False)
class Discrete:
    """An integer in [0, n): the state of an MDP; a bandit shows nothing, which is 0.

    Attributes:
        n: how many there are.
        features: what a model sees of each, [n, features]; None: a one-hot vector. Say,
            the coordinates of a cell: then what is learnt in some cells carries over to
            others.

    Raises:
        ValueError: if `n` is below 1, or there is not one row of features for each.
    """

    n: int
    features: np.ndarray | None = None

    def __post_init__(self) -> None:
        _require_sizes(self, "n")
        if self.features is None:
            return
        shape = self.features.shape
        if len(shape) != 2 or shape[0] != self.n:
            raise ValueError(f"features must have shape ({self.n}, _), got {shape}")

    def __eq__(self, other: Any) -> bool:
        """Whether the other has as many values, which a model sees alike."""
        if not isinstance(other, Discrete) or self.n != other.n:
            return False
        if self.features is None or other.features is None:
            return self.features is other.features
        return np.array_equal(self.features, other.features)

    def __hash__(self) -> int:
        return hash(self.n)

    def __repr__(self) -> str:
        shown = f", features [{self.n}, {self.size}]"
        return f"Discrete({self.n}{'' if self.features is None else shown})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one observation."""
        return ()

    @property
    def size(self) -> int:
        """How many numbers a model sees."""
        return self.n if self.features is None else self.features.shape[1]

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest value."""
        return 0, self.n - 1

    def encode(self, obs: Array) -> Float[Array, " size"]:
        """What a model sees of one observation."""
        if self.features is None:
            return jax.nn.one_hot(obs, self.n)
        return jnp.asarray(self.features, jnp.float32)[obs]


@dataclasses.dataclass(frozen=True)
class Box:
    """Real numbers.

    Attributes:
        shape: of one observation.
        low: least value; minus infinity where there is none.
        high: greatest value.

    Raises:
        ValueError: if a side is below 1, or `low` is not below `high`.
    """

    shape: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if any(side < 1 for side in self.shape):
            raise ValueError(f"sides must be at least 1, got {self.shape}")
        _require_bounds(self)

    @property
    def size(self) -> int:
        """How many numbers a model sees."""
        return math.prod(self.shape)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value."""
        return self.low, self.high

    def encode(self, obs: Array) -> Float[Array, " size"]:
        """What a model sees of one observation: its numbers in a row."""
        return obs.reshape(-1)


@dataclasses.dataclass(frozen=True)
class Arms:
    """The features of the arms on offer, one row an arm.

    Attributes:
        num: arms.
        dim: features of one.
        low: least value; minus infinity where there is none.
        high: greatest value.

    Raises:
        ValueError: if a size is below 1, or `low` is not below `high`.
    """

    num: int
    dim: int
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        _require_sizes(self, "num", "dim")
        _require_bounds(self)

    @property
    def shape(self) -> tuple[int, int]:
        """Of one observation."""
        return self.num, self.dim

    @property
    def size(self) -> int:
        """How many numbers a model sees."""
        return self.num * self.dim

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value."""
        return self.low, self.high

    def encode(self, obs: Array) -> Float[Array, " size"]:
        """What a model sees of one observation: its numbers in a row."""
        return obs.reshape(-1)


Space = Discrete | Box | Arms


def _require_sizes(space: Any, *names: str) -> None:
    for name in names:
        if getattr(space, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(space, name)}")


def _require_bounds(space: Box | Arms) -> None:
    if not space.low < space.high:
        raise ValueError(f"low must be below high, got {space.low} and {space.high}")


NO_OBSERVATION = Discrete(1)  # of a bandit
