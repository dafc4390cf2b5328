"""Softmax attention."""

from flax import nnx
from jaxtyping import Array, Bool

from icrl.config import TransformerConfig
from icrl.models.attention import Attention, Heads
from icrl.models.attention_kernels import Weigh, softmax_attention, softmax_weights
from icrl.registries import MIXERS


@MIXERS.register("softmax")
class Softmax(Attention):
    """Attention with weights softmax(q·k / √dim), with biases as in GPT-2.

    Source: Vaswani et al. 2017, arXiv 1706.03762, Section 3.2; Radford et al. 2019.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        super().__init__(config, bias=config.bias is not False, rngs=rngs)

    def scale(self, queries: Heads) -> Heads:
        """Queries over √dim."""
        return queries * queries.shape[-1] ** -0.5

    def attend(
        self,
        queries: Heads,
        keys: Heads,
        values: Heads,
        reset: Bool[Array, " time"] | None,
    ) -> Heads:
        """Blocks of queries, each against the keys up to its own end."""
        return softmax_attention(queries, keys, values, self.query_block, reset)

    @property
    def weigh(self) -> Weigh:
        """The softmax of the scores so far."""
        return softmax_weights
