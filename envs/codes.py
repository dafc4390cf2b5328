"""Families whose tasks are finitely many, each told by a code of small integers.

Say, which action swims right in every state. There are too many to list, and too few
for fresh draws never to meet: so a hash of its code says in which half a task stands.
"""

import dataclasses
import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt

from envs.base import Key, require
from envs.splits import TEST, TRAIN, Split
from envs.tabular_mdp import TabularFamily, TabularMDP

Code = Int[Array, " digits"]
MULTIPLIER = 0x9E3779B1  # of the hash: odd, near 2³² over the golden ratio
NUM_DRAWS = 256  # that show whether both halves have tasks
LEAST_SHARE = 0.25  # of the draws from the prior, in either half


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodedFamily(TabularFamily):
    """A family that draws codes, and makes a task of each."""

    def draw_code(self, key: Key) -> Code:
        """Draws a code from the prior."""
        raise NotImplementedError

    def task(self, code: Code) -> TabularMDP:
        """The task with this code."""
        raise NotImplementedError

    def sample(self, key: Key) -> TabularMDP:
        """Draws one task from the prior."""
        return self.task(self.draw_code(key))

    def require_code(self, code: Code, num_digits: int, num_values: int) -> None:
        """Raises `ValueError` unless the code is of this length and these values."""
        rule = f"a code must have shape ({num_digits},)"
        require(code.shape == (num_digits,), rule, code.shape)
        rule = f"a code must have digits in [0, {num_values})"
        require(((code >= 0) & (code < num_values)).all(), rule, code)

    def split(self) -> Split:
        """Halves by the hash of codes, each drawn from by the prior within it.

        They are near to equal, not equal: of the 64 codes of 6 bits, 34 train.

        Raises:
            ValueError: if the prior draws nearly all tasks from one half: the other is
                too small to draw from.
        """
        keys = jax.random.split(jax.random.key(0), NUM_DRAWS)
        halves = jax.jit(jax.vmap(lambda key: half_of(self.draw_code(key))))(keys)
        train = int((halves == TRAIN).sum())
        least = round(LEAST_SHARE * NUM_DRAWS)
        rule = (
            f"the prior must draw from both halves of the tasks, at least {least} of "
            f"{NUM_DRAWS} times from each"
        )
        require(least <= train <= NUM_DRAWS - least, rule, f"{train} to train on")
        digest = hashlib.sha256(repr(self).encode() + b"\0codes").hexdigest()
        return Split(
            train=HalfOfCodes(self, TRAIN),
            test=HalfOfCodes(self, TEST),
            hash=digest[:16],
        )


class HalfOfCodes(NamedTuple):
    """The tasks whose codes have this hash."""

    family: CodedFamily
    half: int

    def sample(self, key: Key) -> TabularMDP:
        """Draws one task from the prior, given its half: again until it is there.

        As often as it takes, so that no task of the other half is ever returned;
        `split` sees to it that a quarter of the draws succeed.
        """

        def draw(tries: Int[Array, ""]) -> tuple[Int[Array, ""], Code]:
            return tries, self.family.draw_code(jax.random.fold_in(key, tries))

        def is_elsewhere(drawn: tuple[Int[Array, ""], Code]) -> Bool[Array, ""]:
            return half_of(drawn[1]) != self.half

        first = draw(jnp.zeros((), jnp.int32))
        drawn = jax.lax.while_loop(is_elsewhere, lambda last: draw(last[0] + 1), first)
        return self.family.task(drawn[1])


def half_of(code: Code) -> Int[Array, ""]:
    """The half that a code belongs to, 0 or 1: a hash, so without a pattern to learn.

    Integers alone are used, so it is the same under every version and device.
    """

    def mix(hashed: UInt[Array, ""], digit: UInt[Array, ""]) -> tuple[Array, None]:
        hashed = (hashed + digit) * jnp.uint32(MULTIPLIER)  # wraps around
        return hashed ^ (hashed >> 15), None

    # Two more rounds carry the last digit to the top.
    digits = jnp.concatenate([code, jnp.zeros(2, code.dtype)]).astype(jnp.uint32)
    hashed, _ = jax.lax.scan(mix, jnp.uint32(1), digits)
    return (hashed >> 16).astype(jnp.int32) & 1
