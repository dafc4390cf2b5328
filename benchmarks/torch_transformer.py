"""The same transformer in PyTorch, with fused attention: what we are compared with."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from icrl.config import TransformerConfig


class Block(nn.Module):
    """Pre-norm block of GPT-2."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width, hidden = config.width, config.hidden_units
        self.num_heads = config.num_heads
        self.norm_attention = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.combine = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, time, width]` to the same."""
        x = x + self.attend(self.norm_attention(x))
        hidden = functional.gelu(self.expand(self.norm_mlp(x)), approximate="tanh")
        return x + self.contract(hidden)

    def attend(self, x: Tensor) -> Tensor:
        """Causal attention by PyTorch's fused kernel."""
        batch, time, width = x.shape
        parts = self.project(x).view(batch, time, 3, self.num_heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            queries, keys, values, is_causal=True
        )
        return self.combine(mixed.transpose(1, 2).reshape(batch, time, width))


class Transformer(nn.Module):
    """`[batch, time, token]` to logits `[batch, time, actions]`."""

    def __init__(self, config: TransformerConfig, token_size: int, num_actions: int):
        super().__init__()
        self.embed = nn.Linear(token_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, num_actions)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits after every prefix."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def use_threads(count: int) -> None:
    """Lets PyTorch use as many threads as the other side has cores."""
    torch.set_num_threads(count)
