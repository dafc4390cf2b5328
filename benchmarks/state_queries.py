"""A query for every state: one cache here, a forward pass for each in PyTorch.

    python -m benchmarks.state_queries              # 1 minute on 2 cores
    python -m benchmarks.state_queries --episodes 1

An agent with queries needs an answer for each state before it plays an episode. Here
the data is read once, and the queries share its cache. PyTorch does what the published
code of DPT does: a forward pass over the query and the whole data for each (here
without gradients, with fused attention, all queries of a context side by side). Sizes
are those of `dpt_dark_room cpu` with five episodes in context.

Expect, on 2 idle cores: 74 times PyTorch (64 contexts a second), and 37 times with one
episode in context.
"""

import argparse
import os
import pathlib

from benchmarks import side_by_side
from icrl.config import TransformerConfig

FAMILY = "DarkRoom-DPT-v0"
STATES, HORIZON, TOKEN = 100, 100, 66  # TOKEN: of `query_each`


def serve_jax(args: argparse.Namespace) -> None:
    """What the testbed does when an episode begins, vmapped over contexts."""
    import jax
    from flax import nnx

    import envs
    from icrl.agents.query_table import query_table
    from icrl.models import Transformer
    from icrl.tokenizers.query_each import query_each

    family = envs.family(FAMILY)
    tokenizer = query_each(family)
    assert tokenizer.token_size == TOKEN
    model = Transformer(
        config_of(args),
        token_size=TOKEN,
        num_actions=family.num_actions,
        max_tokens=tokenizer.num_tokens(args.episodes * HORIZON),
        rngs=nnx.Rngs(0),
    )

    def table(model, key):
        agent = query_table(model, tokenizer)
        memory = agent.init()
        data = jax.random.normal(key, memory.known.shown.shape)
        known = memory.known._replace(shown=data)
        full = memory.length + args.episodes * HORIZON
        return agent.begin_episode(key, memory._replace(known=known, length=full))

    tables = jax.jit(jax.vmap(lambda *now: table(*now).logits, (None, 0)))
    keys = jax.random.split(jax.random.key(0), args.contexts)

    def run():
        tables(model, keys).block_until_ready()
        return args.contexts, {}

    side_by_side.serve(run)


def serve_torch(args: argparse.Namespace) -> None:
    """A forward pass over all of the data for each query."""
    import torch

    from benchmarks.torch_transformer import Transformer, use_threads

    use_threads(os.cpu_count() or 1)
    model = Transformer(config_of(args), TOKEN, num_actions=5).eval()

    @torch.no_grad()
    def table():
        whole = torch.randn(STATES, 1 + args.episodes * HORIZON, TOKEN)
        return model(whole)[:, -1]

    def run():
        for _ in range(args.torch_contexts):
            table()
        return args.torch_contexts, {}

    side_by_side.serve(run)


def config_of(args: argparse.Namespace) -> TransformerConfig:
    """The model of both sides."""
    return TransformerConfig(width=args.width, num_layers=args.layers)


def main() -> None:
    """Compares, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="Asking about states, side by side.")
    parser.add_argument("--episodes", type=int, default=5, help="of data in a context")
    parser.add_argument("--contexts", type=int, default=50, help="side by side")
    parser.add_argument("--torch-contexts", type=int, default=2, help="of PyTorch")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--side", choices=["jax", "torch"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return {"jax": serve_jax, "torch": serve_torch}[args.side](args)
    side_by_side.report(
        "benchmarks.state_queries", "contexts/s", args, args.rounds, args.json
    )


if __name__ == "__main__":
    main()
