"""The contract of a token mixer: the part of a block that looks back in time.

A mixer is one file that registers one class. What has a state of fixed size, which
every token updates, is a `Recurrence`: write `init_state` and `update`. Anything else
is a `Mixer`: write `init_state` and `__call__`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.models.base import State

Norm: TypeAlias = Callable[[Array], Array]  # of a block, before its mixer


class Mixer(nnx.Module):
    """Mixes tokens of one sequence, each with those before it.

    Made by `mixer(config, rngs=rngs)`. Every array attribute is an `nnx.Param`:
    constants are plain numbers, or they would be trained.
    """

    def init_state(self, max_tokens: int) -> State:
        """Returns the memory of no tokens, with room for `max_tokens`."""
        raise NotImplementedError

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: State | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], State | None]:
        """Mixes a segment, and returns the memory after it.

        Outputs of tokens at and behind `length` are what they are without it.

        Args:
            x: the segment.
            state: memory of what came before; None: nothing did.
            reset: true where a token begins a sequence of its own; None: nowhere.
            length: tokens after which the memory is returned; None: all of them.
            remember: room of the memory that is returned, in tokens; 0: none is, as
                for a query. A memory that is given keeps its own room.
        """
        raise NotImplementedError

    def mix_stream(
        self,
        stream: Float[Array, "time width"],
        norm: Norm,
        state: State | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], State | None]:
        """Mixes the normed stream; for a mixer that remembers the stream itself."""
        how = {"reset": reset, "length": length, "remember": remember}
        return self(norm(stream), state, **how)

    def init_memory(self, max_tokens: int) -> State:
        """Returns the memory of no tokens that segments of a training hand on."""
        return self.init_state(max_tokens)

    def recall(self, memory: State, norm: Norm) -> State:
        """Returns the state in which one plays on from a memory of training."""
        del norm
        return memory

    def state_floats(self, tokens: int) -> int:
        """Numbers in the memory of `tokens` tokens."""
        shapes = jax.eval_shape(lambda: self.init_state(tokens))
        leaves = [x for x in jax.tree.leaves(shapes) if jnp.issubdtype(x, jnp.inexact)]
        return sum(leaf.size for leaf in leaves)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Multiply-adds of a token in a context of `tokens`.

        Args:
            tokens: of the context.
            decode: of the last token, one at a time; else the mean over a context that
                is read in parallel.
        """
        raise NotImplementedError


class Recurrence(Mixer):
    """A mixer whose state of fixed size every token updates.

    Write `init_state` and `update`; `project` and `finish` are there for what all
    tokens can do at once.
    """

    unroll = 8  # steps of the scan in one iteration, which costs time by itself

    def update(self, state: State, inputs: Any) -> tuple[State, Float[Array, " out"]]:
        """One token: the state after it, and its output before `finish`."""
        raise NotImplementedError

    def project(self, x: Float[Array, "time width"]) -> Any:
        """What `update` reads of each token: a pytree with a leading axis of time."""
        return x

    def finish(self, y: Float[Array, "time out"]) -> Float[Array, "time width"]:
        """The outputs of all tokens, from what `update` gave."""
        return y

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: State | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], State | None]:
        """As `Mixer`; the outputs go on behind `length`, the memory does not."""
        empty = self.init_state(remember)
        first = empty if state is None else state

        def step(carry: tuple[State, State], now: tuple[Any, ...]):
            current, kept = carry
            inputs, begins, remembered = now
            if begins is not None:
                current = _choose(begins, empty, current)
            current, y = self.update(current, inputs)
            kept = () if length is None else _choose(remembered, current, kept)
            return (current, kept), y

        time = x.shape[0]
        within = None if length is None else jnp.arange(time) < length
        inputs = (self.project(x), reset, within)
        carry = (first, () if length is None else first)
        if time == 1:  # a scan of one step costs more than the step
            carry, y = step(carry, jax.tree.map(lambda leaf: leaf[0], inputs))
            y = y[None]
        else:
            carry, y = jax.lax.scan(step, carry, inputs, unroll=min(self.unroll, time))
        memory = carry[0] if length is None else carry[1]
        return self.finish(y).astype(x.dtype), memory if remember else None


def _choose(condition: Bool[Array, ""], yes: State, no: State) -> State:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def segment_starts(reset: Bool[Array, " time"]) -> Int[Array, " time"]:
    """Where each token's sequence begins: the last reset so far; -1 before any."""
    time = jnp.arange(reset.shape[0])
    return jax.lax.cummax(jnp.where(reset, time, -1))
