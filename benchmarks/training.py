"""Training throughput, this testbed against PyTorch with fused attention.

    python -m benchmarks.training                       # 2 minutes a shape on 2 cores
    python -m benchmarks.training --time 101 --layers 2 --micro-batch 8

A step is forward, backward and AdamW on the mean cross-entropy at all positions. The
default shape is DPT's bandit (Lee et al. 2023): 500 transitions and the query.
"""

import argparse
import functools
import os
import pathlib
from typing import Any

from benchmarks import side_by_side
from icrl.config import TransformerConfig

TOKEN, ACTIONS, LEARNING_RATE, WEIGHT_DECAY = 8, 5, 1e-3, 1e-4


def serve_jax(args: argparse.Namespace) -> None:
    """Several steps per call under `lax.scan`, data drawn inside, seeds vmapped."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    from icrl.models import Transformer
    from icrl.training.accumulation import value_and_grad_accumulated

    optimizer = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def initial(key):
        model: Any = Transformer(
            config_of(args),
            token_size=TOKEN,
            num_actions=ACTIONS,
            max_tokens=args.time,
            rngs=nnx.Rngs(key),
        )
        return model, optimizer.init(model)

    def loss(model, batch):
        tokens, labels = batch
        logits = jax.vmap(model)(tokens)
        labels = jnp.broadcast_to(labels[:, None], logits.shape[:2])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.sum() / (args.batch * args.time)

    def step(state, key):
        model, opt_state = state
        key_tokens, key_labels = jax.random.split(key)
        tokens = jax.random.normal(key_tokens, (args.batch, args.time, TOKEN))
        labels = jax.random.randint(key_labels, (args.batch,), 0, ACTIONS)
        value, grads = value_and_grad_accumulated(
            loss, model, (tokens, labels), args.micro_batch
        )
        updates, opt_state = optimizer.update(grads, opt_state, model)
        return (optax.apply_updates(model, updates), opt_state), value

    @functools.partial(jax.jit, donate_argnums=0)
    @jax.vmap
    def steps(state, key):
        return jax.lax.scan(step, state, jax.random.split(key, args.steps))

    keys = jax.random.split(jax.random.key(0), args.seeds)
    state = jax.jit(jax.vmap(initial))(keys)

    def run():
        nonlocal state
        state, losses = steps(state, keys)
        return tokens_of(args), {"loss": float(losses[0, -1])}

    side_by_side.serve(run)


def serve_torch(args: argparse.Namespace) -> None:
    """The same steps; seeds one after the other."""
    import torch
    from torch.nn import functional

    from benchmarks.torch_transformer import Transformer, use_threads

    use_threads(os.cpu_count() or 1)
    model = Transformer(config_of(args), TOKEN, ACTIONS)
    forward = torch.compile(model) if args.compile else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )

    def step():
        tokens = torch.randn(args.batch, args.time, TOKEN)
        labels = torch.randint(0, ACTIONS, (args.batch, 1)).expand(-1, args.time)
        logits = forward(tokens)
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    def run():
        losses = [step() for _ in range(args.steps * args.seeds)]
        return tokens_of(args), {"loss": losses[-1]}

    side_by_side.serve(run)


def config_of(args: argparse.Namespace) -> TransformerConfig:
    """The model of both sides."""
    return TransformerConfig(
        num_layers=args.layers, num_heads=args.heads, query_block=args.query_block
    )


def tokens_of(args: argparse.Namespace) -> int:
    """Tokens of one round."""
    return args.seeds * args.steps * args.batch * args.time


def main() -> None:
    """Compares, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="Training throughput, side by side.")
    parser.add_argument("--time", type=int, default=501, help="tokens of a context")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="models, vmapped")
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--query-block", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--side", choices=["jax", "torch"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return {"jax": serve_jax, "torch": serve_torch}[args.side](args)
    side_by_side.report("benchmarks.training", "tokens/s", args, args.rounds, args.json)


if __name__ == "__main__":
    main()
