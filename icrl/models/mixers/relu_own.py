"""ReLU attention of heads that see their own token alone."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from icrl.models.attention_kernels import products
from icrl.models.mixer import segment_starts
from icrl.models.mixers.relu import Relu
from icrl.registries import MIXERS


@MIXERS.register("relu_own")
class ReluOwn(Relu):
    """ReLU attention that leaves out all tokens but its own: relu(q_i·k_i) v_i / i.

    With weights by which no other token's score is above 0, it is `relu`, and costs no
    more than an MLP: of what came before, it remembers how many tokens there were.

    Source: ours, for the constructions of Lin, Bai and Mei 2023, arXiv 2310.08566,
    Section 4, most of whose heads calculate within a token.
    """

    def init_state(self, max_tokens: int) -> Int[Array, ""]:
        """Returns the number of no tokens, whatever the room."""
        del max_tokens
        return jnp.zeros((), jnp.int32)

    def __call__(
        self,
        x: Float[Array, "time width"],
        state: Int[Array, ""] | None = None,
        *,
        reset: Bool[Array, " time"] | None = None,
        length: Int[Array, ""] | None = None,
        remember: int = 0,
    ) -> tuple[Float[Array, "time width"], Int[Array, ""] | None]:
        """As `Mixer`."""
        queries, keys, values = self._project(x)
        before = self.init_state(remember) if state is None else state
        place = jnp.arange(x.shape[0])
        since = place + before
        if reset is not None:
            starts = segment_starts(reset)
            since = jnp.where(starts < 0, since, place - starts)
        scores = nnx.relu((queries * keys).sum(-1)) / (since + 1).astype(x.dtype)[None]
        mixed = (scores[..., None] * values).swapaxes(0, 1).reshape(x.shape[0], -1)
        mixed = mixed if self.combine is None else self.combine(mixed)
        if not remember:
            return mixed, None
        count = jnp.asarray(x.shape[0] if length is None else length)
        after = jnp.where(count > 0, since[jnp.maximum(count - 1, 0)] + 1, before)
        return mixed, after.astype(jnp.int32)

    def multiply_adds(self, tokens: int, *, decode: bool) -> int | float:
        """Projections, and one score and value for each head."""
        return super().multiply_adds(1, decode=True)

    def other_scores(self, x: Float[Array, "time width"]) -> Float[Array, ""]:
        """The highest score of a token that is left out; above 0 this is not `relu`."""
        queries, keys, _ = self._project(x)
        scores = products("hqd,hkd->hqk", queries, keys)
        before = jnp.tril(jnp.ones(scores.shape[1:], bool), -1)
        return jnp.where(before[None], scores, -jnp.inf).max()
