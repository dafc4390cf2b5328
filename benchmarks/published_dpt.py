"""The published recipe of DPT in PyTorch: what a training is compared with.

Source: Lee et al. 2023, arXiv 2306.14892, and its code: 4 pre-norm blocks of width 32
with one head, N(0, 0.02), AdamW at 1e-4 with weight decay 1e-4, batches of 64, no
schedule, no warm-up, no clipping; the transitions of a context in a new order in every
epoch, the loss at prefixes of 1 transition or more. Attention is PyTorch's fused one,
and there are no vectors of positions, which only cost time here.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from benchmarks.torch_transformer import Transformer, use_threads
from icrl.config import TransformerConfig

LEARNING_RATE, WEIGHT_DECAY, BATCH = 1e-4, 1e-4, 64


def train(
    contexts: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    *,
    seconds: float,
    num_looks: int,
    threads: int,
) -> Iterator[tuple[int, float, float]]:
    """Trains for some time; yields steps, seconds of training and the loss so far.

    Args:
        contexts: tokens [contexts, time, token] and labels [contexts, time, actions].
        held_out: the same, on which the loss is measured (nats a decision, from the
            first pull on); the time that this takes is not counted.
        seconds: of training.
        num_looks: at the loss, evenly spaced.
        threads: of PyTorch.
    """
    use_threads(threads)
    torch.manual_seed(0)
    tokens, labels = (torch.from_numpy(np.array(x)) for x in contexts)
    shown, wanted = (torch.from_numpy(np.array(x)) for x in held_out)
    config = TransformerConfig(num_layers=4, width=32, num_heads=1)
    model = Transformer(config, tokens.shape[-1], labels.shape[-1])
    for name, weight in model.named_parameters():
        if "blocks" in name and weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.02)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )

    def step(rows: torch.Tensor) -> None:
        num_steps = tokens.shape[1] - 1
        order = torch.argsort(torch.rand(len(rows), num_steps), dim=1) + 1
        order = torch.cat([torch.zeros(len(rows), 1, dtype=order.dtype), order], dim=1)
        logits = model(tokens[rows[:, None], order])[:, 1:]
        loss = functional.cross_entropy(
            logits.flatten(0, 1), labels[rows, 1:].flatten(0, 1), reduction="sum"
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def held_out_loss() -> float:
        found = [
            functional.cross_entropy(
                model(x)[:, 1:].flatten(0, 1), y[:, 1:].flatten(0, 1), reduction="sum"
            )
            for x, y in zip(shown.split(250), wanted.split(250), strict=True)
        ]
        return float(torch.stack(found).sum()) / wanted[:, 1:, 0].numel()

    spent, steps = 0.0, 0
    for look in range(1, num_looks + 1):
        while spent < seconds * look / num_looks:
            started = time.perf_counter()
            for rows in torch.randperm(len(tokens)).split(BATCH)[:50]:
                step(rows)
                steps += 1
            spent += time.perf_counter() - started
        yield steps, spent, held_out_loss()
