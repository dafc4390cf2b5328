"""Random keys by purpose: no two purposes share one, whatever their seeds are.

A seed has a key for each kind of work that it may stand for, and each kind of work has
keys of its own purposes. Only below these are keys split, or folded with the numbers of
steps, tasks and panels, which are smaller than any purpose here.
"""

import enum

import jax

from envs.base import Key
from envs.fields import check_seed


class Purpose(enum.IntEnum):
    """What a key is for; folded into the key that stands above it."""

    # of a seed
    TRAINING = 0x1C41_0000  # what the training seed s draws
    DATASET = enum.auto()  # examples that are made once and kept
    EVALUATION = enum.auto()  # tasks, noise and choices of a root seed
    # of a training seed
    INIT = enum.auto()  # weights
    DATA = enum.auto()  # folded with the step
    # of an evaluation; all but HISTORY are folded with the task's number
    TASKS = enum.auto()  # tasks and their noise
    AGENTS = enum.auto()  # what agents choose
    CONTEXTS = enum.auto()  # contexts on which a loss is measured
    ORDERS = enum.auto()  # of a history that is shuffled
    HISTORY = enum.auto()  # the one history that is drawn
    # of an example, beside its task, noise and choices
    QUERY = enum.auto()  # the query state
    LABELS = enum.auto()  # draws from a posterior


def fold(key: Key, purpose: Purpose) -> Key:
    """The key of a purpose."""
    return jax.random.fold_in(key, int(purpose))


def training_key(seed: int) -> Key:
    """The key above all that a training seed draws."""
    return fold(_root(seed), Purpose.TRAINING)


def dataset_key(seed: int) -> Key:
    """The key above the examples of a set that is made once."""
    return fold(_root(seed), Purpose.DATASET)


def evaluation_key(root_seed: int) -> Key:
    """The key above tasks, noise and choices of an evaluation."""
    return fold(_root(root_seed), Purpose.EVALUATION)


def _root(seed: int) -> Key:
    """A seed's own key.

    Raises:
        ValueError: if another seed would have the same one.
    """
    check_seed("seed", seed)
    return jax.random.key(seed)
