"""ReLU attention, which the theory's transformers use."""

from flax import nnx

from icrl.config import TransformerConfig
from icrl.models.attention import Attention
from icrl.models.attention_cache import relu_weights
from icrl.models.attention_kernels import relu_attention
from icrl.registries import MIXERS


@MIXERS.register("relu")
class Relu(Attention):
    """Attention with weights relu(q·k) / i for token i = 1, 2, ...: a mean over tokens.

    Queries, keys and values have no biases unless the config asks for them. With one
    head nothing combines: Lin et al.'s values have the full width, and one head's are
    the output itself.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 2 and its code, which
    ignores its number of heads.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        super().__init__(
            config,
            attend=relu_attention,
            weigh=relu_weights,
            bias=config.bias is True,
            combined=config.num_heads > 1 or config.head_size != config.width,
            rngs=rngs,
        )
