"""Softmax attention."""

from flax import nnx

from icrl.config import TransformerConfig
from icrl.models.attention import Attention, Heads
from icrl.models.attention_cache import softmax_weights
from icrl.models.attention_kernels import softmax_attention
from icrl.registries import MIXERS


@MIXERS.register("softmax")
class Softmax(Attention):
    """Attention with weights softmax(q·k / √dim), with biases as in GPT-2.

    Source: Vaswani et al. 2017, arXiv 1706.03762, Section 3.2; Radford et al. 2019.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        super().__init__(
            config,
            attend=softmax_attention,
            weigh=softmax_weights,
            bias=config.bias is not False,
            rngs=rngs,
        )

    def scale(self, queries: Heads) -> Heads:
        """Queries over √dim."""
        return queries * queries.shape[-1] ** -0.5
